// llama2.c's tokenizers: a trained model's own file, small ones written here, damaged ones, and texts in portions.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { TextStream } from "../../../src/model/tokenizer/text_stream.ts";
import { parseTokenizer } from "../../../src/model/tokenizer/parse.ts";
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import { CheckpointError } from "../../../mod.ts";
import { type Random, testRandomly } from "../../support/random.ts";
import { type FileOptions, FIRST_PIECE, tokenizerFile } from "../../support/tokenizer_file.ts";
import { greedyTokens, STORIES, testStories } from "../../support/stories.ts";

const PIECES = ["ab", " a", "bc", " ab", " ", "a", "b", "c", "é"];
/** The token of a piece. */
const token = (piece: string) => FIRST_PIECE + PIECES.indexOf(piece);

async function small(options?: FileOptions): Promise<Tokenizer> {
  const vocabSize = FIRST_PIECE + PIECES.length;
  return await parseTokenizer(tokenizerFile(PIECES, options), { file: "tok.bin", vocabSize });
}

Deno.test("llama2.c tokenizer: merges by score, the leftmost of the best, and falls back to bytes", async () => {
  const tokenizer = await small();
  assertEquals(tokenizer.encode(""), [1]);
  // " ab" from "ab", which scores higher than " a".
  assertEquals(tokenizer.encode("ab"), [1, token(" ab")]);
  assertEquals(tokenizer.encode("abc"), [1, token(" ab"), token("c")]);
  assertEquals(tokenizer.encode("bcab"), [1, token(" "), token("bc"), token("ab")]);
  assertEquals(tokenizer.encode("é€"), [1, token(" "), token("é"), 3 + 0xe2, 3 + 0x82, 3 + 0xac]);

  const alike = await small({ scores: () => 0 });
  assertEquals(alike.encode("abc"), [1, token(" ab"), token("c")]);
});

Deno.test("llama2.c tokenizer: decodes without the space that BOS brings, and keeps others", async () => {
  const { decode } = bound(await small());
  assertEquals(decode([1, token(" a"), token("b"), token(" a")]), "ab a");
  assertEquals(decode([token(" a")]), " a");
  assertEquals(decode([1, 3 + 0x20, token("c"), 2]), "c");
  assertEquals(decode([]), "");
  assertEquals(decode([3 + 0xe2, 3 + 0x82]), "\uFFFD");
  assertThrows(() => decode([FIRST_PIECE + 9]), RangeError, "token=268, vocabSize=268");
  assertThrows(() => decode([-1]), RangeError, "at least 0");
});

function bound(tokenizer: Tokenizer) {
  return { decode: (tokens: number[]) => tokenizer.decode(tokens) };
}

/** Characters of one to four bytes, those of the vocabulary among them. */
function randomText(random: Random): string {
  const characters = [
    "a",
    "b",
    "c",
    " ",
    "é",
    "\n",
    "\0",
    "ß",
    "€",
    "语",
    "\uFEFF",
    "🙂",
    "𝄞",
    "<0x41>",
  ];
  return Array.from({ length: random.integer(0, 40) }, () => random.pick(characters)).join("");
}

testRandomly(
  "llama2.c tokenizer: what is encoded decodes to itself, at once and as a stream",
  async (random) => {
    const tokenizer = await small();
    for (let i = 0; i < 200; i++) {
      const text = randomText(random);
      const tokens = tokenizer.encode(text);
      assertEquals(tokenizer.decode(tokens), text);

      const before = random.integer(0, tokens.length);
      const stream = new TextStream(tokenizer, tokens.slice(0, before));
      // A stream that begins inside a character cannot tell it.
      if (tokenizer.decode(tokens.slice(0, before)).endsWith("\uFFFD")) continue;
      let streamed = tokenizer.decode(tokens.slice(0, before));
      for (let next = before; next < tokens.length;) {
        const portion = tokens.slice(next, next += random.integer(1, 3));
        const complete = stream.push(portion);
        assert(!complete.includes("\uFFFD"));
        streamed += complete;
      }
      assertEquals(streamed + stream.end(), text);
    }
  },
);

testRandomly("llama2.c tokenizer: any tokens are the same text in portions", async (random) => {
  const tokenizer = await small();
  for (let i = 0; i < 200; i++) {
    const length = random.integer(0, 60);
    const most = random.pick([4, tokenizer.vocabSize]);
    const tokens = Array.from({ length }, () => random.integer(0, most - 1));
    const stream = new TextStream(tokenizer);
    let text = "";
    for (let next = 0; next < length;) {
      text += stream.push(tokens.slice(next, next += random.integer(1, 4)));
    }
    assertEquals(text + stream.end(), tokenizer.decode(tokens), `${tokens}`);
  }
});

Deno.test("TextStream: gives what stays incomplete at the end, or where it cannot be completed", async () => {
  const tokenizer = await small();
  const stream = new TextStream(tokenizer);
  assertEquals(stream.push([token("a"), 3 + 0xe2]), "a");
  assertEquals(stream.push([token("b")]), "\uFFFDb");
  assertEquals(stream.push([3 + 0xf0]), "");
  assertEquals(stream.end(), "\uFFFD");
  assertEquals(stream.end(), "");
  assertEquals(stream.push([]), "");
});

testStories("llama2.c tokenizer: reads that of stories260K, and its greedy story", async () => {
  const bytes = Deno.readFileSync(STORIES.tokenizer);
  const tokenizer = await parseTokenizer(bytes, { file: "tok512.bin", vocabSize: 512 });
  const story = tokenizer.decode(greedyTokens());
  assert(story.startsWith("Once upon a time, there was a little girl named Lily."), story);
  assertEquals(tokenizer.encode(story), greedyTokens());
  await assertRejects(
    () => parseTokenizer(bytes, { file: "tok512.bin", vocabSize: 32000 }),
    CheckpointError,
    "Cannot read tok512.bin as it must have a piece for each token of the model: current values tokens=512, vocabSize=32000",
  );
});

/** Where the length of the first piece is, and the piece of byte 0. */
const LENGTH_OF_UNK = 8;
const BYTE_0 = 4 + (8 + 5) + (8 + 5) + (8 + 6) + 8;
const whole = tokenizerFile(PIECES);
const DAMAGED: { name: string; bytes: Uint8Array; says: string }[] = [
  { name: "nothing", bytes: new Uint8Array(0), says: "bytes=0" },
  { name: "a piece cut short", bytes: whole.slice(0, -1), says: "token=267, offset=" },
  { name: "a token cut short", bytes: whole.slice(0, -4), says: "must not end inside a token" },
  { name: "a lacking token", bytes: whole.slice(0, -10), says: "tokens=267, vocabSize=268" },
  { name: "another token", bytes: tokenizerFile([...PIECES, "x"]), says: "tokens=269" },
  { name: "a negative length", bytes: patched(LENGTH_OF_UNK, -1), says: "token=0, length=-1" },
  { name: "a length too long", bytes: patched(LENGTH_OF_UNK, 7), says: "length=7, longest=6" },
  {
    name: "a score that is none",
    bytes: tokenizerFile(PIECES, { scores: () => NaN }),
    says: "score=NaN",
  },
  { name: "bytes of other names", bytes: patched(BYTE_0 + 1, 7), says: "token=3" },
];

/** The file with another whole number at an offset. */
function patched(offset: number, value: number): Uint8Array {
  const bytes = whole.slice();
  new DataView(bytes.buffer).setInt32(offset, value, true);
  return bytes;
}

for (const { name, bytes, says } of DAMAGED) {
  Deno.test(`llama2.c tokenizer: refuses ${name}`, async () => {
    const options = { file: "tok.bin", vocabSize: FIRST_PIECE + PIECES.length };
    const error = await assertRejects(() => parseTokenizer(bytes, options), CheckpointError, says);
    assert(error.message.startsWith("Cannot read tok.bin as "));
  });
}

testRandomly(
  "llama2.c tokenizer: 1,000 corruptions are refused, or give another vocabulary of that size",
  async (random) => {
    let refused = 0;
    for (let i = 0; i < 1000; i++) {
      const bytes = random.next() < 0.2
        ? whole.slice(0, random.integer(0, whole.length - 1))
        : whole.slice();
      const wounds = bytes.length === whole.length ? random.integer(1, 4) : random.integer(0, 2);
      for (let wound = 0; wound < wounds; wound++) {
        bytes[random.integer(0, bytes.length - 1)] ^= random.integer(1, 255);
      }
      const options = { file: "tok.bin", vocabSize: FIRST_PIECE + PIECES.length };
      try {
        const tokenizer = await parseTokenizer(bytes, options);
        assertEquals(tokenizer.vocabSize, options.vocabSize);
        tokenizer.decode(tokenizer.encode("ab c€"));
      } catch (error) {
        assert(error instanceof CheckpointError, `${error}`);
        refused++;
      }
    }
    assert(refused > 500, `${refused}`);
  },
);
