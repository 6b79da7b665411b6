// Text files as programs save them, and JSON as Python writes it.
import { assert, assertEquals, assertThrows } from "@std/assert";
import { parseJsonObject } from "../../src/base/json.ts";
import { decodeText } from "../../src/base/text.ts";
import { CheckpointError } from "../../mod.ts";
import { testRandomly } from "../support/random.ts";
import { utf16 } from "../support/text_files.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);

testRandomly("decodeText(): UTF-8 and UTF-16, whatever mark they begin with", (random) => {
  for (let i = 0; i < 200; i++) {
    const characters = ["a", "\n", "é", "€", "语", "🙂", "\uFEFF", "\uFFFE", " "];
    const text = Array.from({ length: random.integer(0, 9) }, () => random.pick(characters))
      .join("");
    const mark = "\uFEFF";
    assertEquals(decodeText(utf8(mark + text), "a"), text);
    assertEquals(decodeText(utf16(mark + text, "little"), "a"), text);
    assertEquals(decodeText(utf16(mark + text, "big"), "a"), text);
    if (!text.startsWith(mark)) assertEquals(decodeText(utf8(text), "a"), text);
  }
});

Deno.test("decodeText(): what is no text is refused, with a cure", () => {
  const cases: [bytes: Uint8Array, says: string][] = [
    [Uint8Array.of(0x61, 0xff), "must be text in UTF-8 (save it so"],
    [Uint8Array.of(0xe2, 0x82), 'bytes=2, encoding="utf-8"'],
    [utf16("ab", "little"), "UTF-16 must begin with a byte order mark (save it as UTF-8)"],
    [utf16("ab", "big"), "UTF-16 must begin with a byte order mark"],
    [Uint8Array.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), "not in UTF-32 (save it as UTF-8)"],
    [Uint8Array.of(0, 0, 0xfe, 0xff, 0, 0, 0, 0x61), "must begin with a byte order mark"],
    [utf16("\uFEFF\ud800", "big"), 'encoding="utf-16be"'],
    [utf16("\uFEFFab", "little").subarray(0, -1), 'encoding="utf-16le"'],
  ];
  for (const [bytes, says] of cases) {
    const { message } = assertThrows(() => decodeText(bytes, "a.txt"), CheckpointError, says);
    assert(message.startsWith("Cannot read a.txt as "), message);
  }
});

Deno.test("parseJsonObject(): NaN and infinities as Python writes them, and text that says so", () => {
  const json = '\uFEFF{"a": [NaN, Infinity, -Infinity], "b": {"c":NaN}, "NaN": "NaN Infinity",' +
    '"d": "\\"NaN", "e\\\\": Infinity}';
  assertEquals(parseJsonObject(json, "a"), {
    a: [NaN, Infinity, -Infinity],
    b: { c: NaN },
    NaN: "NaN Infinity",
    d: '"NaN',
    "e\\": Infinity,
  });
  assertEquals(parseJsonObject('{"NaN":"Infinity","a":1}', "a"), { NaN: "Infinity", a: 1 });
});

testRandomly("parseJsonObject(): what JSON can write is what JSON.parse() reads", (random) => {
  const words = ['"', "\\", "NaN", "Infinity", "{", "]", "é", "\n", "I", "N"];
  const text = () =>
    Array.from({ length: random.integer(0, 5) }, () => random.pick(words)).join("");
  const draw = (depth: number): unknown => {
    const kind = random.integer(0, depth > 0 ? 5 : 3);
    if (kind === 0) return random.next();
    if (kind === 1) return random.pick([true, null]);
    if (kind <= 3) return text();
    const items = Array.from({ length: random.integer(0, 3) }, () => draw(depth - 1));
    return kind === 4 ? items : Object.fromEntries(items.map((item) => [text(), item]));
  };
  for (let i = 0; i < 500; i++) {
    const json = JSON.stringify({ [text()]: draw(4) });
    assertEquals(parseJsonObject(json, "a"), JSON.parse(json), json);
  }
});

Deno.test("parseJsonObject(): what is no object, and what is nested too deep", () => {
  const deep = "[".repeat(1e6);
  const cases: [json: string, says: string][] = [
    ["", "no JSON"],
    [
      "{'a': 1}",
      "no JSON (mend it there, or fetch it again if it is damaged): current value error=",
    ],
    ['{"a": Nan}', "no JSON"],
    ['{"a": -NaN}', "no JSON"],
    ['{"a": Infinity', "no JSON"],
    ["[1]", "must be a JSON object: current value value=[1]"],
    ["NaN", "must be a JSON object: current value value=NaN"],
    [`{"a":${deep}`, "nested deeper than 100 levels (it is damaged): current value depth=1000001"],
  ];
  for (const [json, says] of cases) {
    const { message } = assertThrows(() => parseJsonObject(json, "a"), CheckpointError, says);
    assert(message.length < 500, message);
  }
});
