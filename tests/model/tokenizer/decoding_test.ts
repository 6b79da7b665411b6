// From tokens to text: as Hugging Face's tokenizers decode, at once and in portions.
import { assertEquals, assertRejects } from "@std/assert";
import { TextStream } from "../../../src/model/tokenizer/text_stream.ts";
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import { CheckpointError } from "../../../mod.ts";
import { type Random, testRandomly } from "../../support/random.ts";
import { added, LLAMA_DECODERS, LLAMA_JSON, parseJson } from "../../support/tokenizer_json.ts";
import decoded from "./decoded.json" with { type: "json" };

const VOCAB_SIZE = 42;

async function withDecoder(decoder: unknown): Promise<Tokenizer> {
  const all = [...decoded.special, ...decoded.added];
  return await parseJson({
    added_tokens: all.map((token) =>
      added(token, decoded.tokens.indexOf(token), decoded.special.includes(token))
    ),
    model: {
      ...{ type: "BPE", unk_token: "<unk>", merges: [] },
      vocab: Object.fromEntries(decoded.tokens.map((token, id) => [token, id])),
    },
    decoder,
  }, { vocabSize: VOCAB_SIZE });
}

/** A text's tokens in portions of random sizes, from a random one on. */
function streamed(random: Random, tokenizer: Tokenizer, tokens: readonly number[]): string {
  const before = tokens.slice(0, random.integer(0, tokens.length));
  const prompt = tokenizer.decode(before);
  const stream = new TextStream(tokenizer, before);
  let text = "";
  for (let next = before.length; next < tokens.length;) {
    text += stream.push(tokens.slice(next, next += random.integer(1, 5)));
  }
  // What a prompt ends with that is no character yet comes again, when it is one.
  return prompt.replace(/\uFFFD+$/, "") + text + stream.end();
}

for (const { kind, decoder, cases } of decoded.kinds) {
  testRandomly(
    `decoder ${kind}: text as Python's tokenizers make it, wherever it is cut`,
    async (random) => {
      const tokenizer = await withDecoder(decoder);
      for (const [tokens, text] of cases as [number[], string][]) {
        assertEquals(tokenizer.decode(tokens), text, `${tokens}`);
        for (let round = 0; round < 20; round++) {
          assertEquals(streamed(random, tokenizer, tokens), text, `${tokens}`);
        }
      }
    },
  );

  testRandomly(`decoder ${kind}: any tokens, bytes that are no text among them`, async (random) => {
    const tokenizer = await withDecoder(decoder);
    for (let round = 0; round < 100; round++) {
      const length = random.integer(0, 60);
      const tokens = Array.from({ length }, () => random.integer(0, VOCAB_SIZE - 1));
      assertEquals(streamed(random, tokenizer, tokens), tokenizer.decode(tokens), `${tokens}`);
    }
  });
}

testRandomly(
  "a stream of spaces, of tokens without text, of bytes that never are text",
  async (random) => {
    const tokenizer = await withDecoder({ type: "Sequence", decoders: LLAMA_DECODERS });
    const at = (token: string) => decoded.tokens.indexOf(token);
    for (const token of [at("▁"), at("<s>"), at("<0xE2>"), 41]) {
      const tokens = [at("▁ab"), ...Array(100).fill(token), at("▁ab")];
      assertEquals(streamed(random, tokenizer, tokens), tokenizer.decode(tokens), `${token}`);
    }
  },
);

Deno.test("decoders of other versions of the format, and bytes in part", async () => {
  const metaspace = await withDecoder({ type: "Metaspace", add_prefix_space: false });
  const at = (token: string) => decoded.tokens.indexOf(token);
  assertEquals(metaspace.decode([at("▁ab"), at("▁ab")]), " ab ab");
  const plain = await withDecoder({ type: "Metaspace" });
  assertEquals(plain.decode([at("<s>"), at("▁ab"), at("▁ab")]), "ab ab");
  const bytes = await withDecoder({ type: "ByteFallback" });
  assertEquals(
    bytes.decode([at("<0xE2>"), at("<0x82>"), at("ab"), at("<0x82>")]),
    "\uFFFDab\uFFFD",
  );
  // An added token is text, also where its characters could be bytes.
  const latin = await parseJson({
    ...LLAMA_JSON,
    added_tokens: [added("é", 300, false)],
    decoder: { type: "ByteLevel" },
  });
  assertEquals(latin.decode([300]), "é");
});

Deno.test("ByteLevel: every byte has a character, also those that begin no text", async () => {
  const shown = [[0x21, 0x7e], [0xa1, 0xac], [0xae, 0xff]];
  const isShown = (byte: number) => shown.some(([first, last]) => first <= byte && byte <= last);
  let moved = 256;
  const characters = Array.from(
    { length: 256 },
    (_, byte) => String.fromCharCode(isShown(byte) ? byte : moved++),
  );
  const tokenizer = await parseJson({
    model: {
      type: "BPE",
      merges: [],
      vocab: Object.fromEntries(Object.entries(characters).map(([byte, c]) => [c, Number(byte)])),
    },
    decoder: { type: "ByteLevel" },
  }, { vocabSize: 256 });
  for (let byte = 0; byte < 256; byte++) {
    const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.of(byte));
    assertEquals(tokenizer.decode([byte]), text, `${byte}`);
  }
  const text = "\u0000\u007f\u00ad\u00ff\u{1f600}";
  assertEquals(tokenizer.decode([...new TextEncoder().encode(text)]), text);
});

Deno.test("decoders that are none, or not as they must be", async () => {
  const strip = LLAMA_DECODERS[3];
  const cases: [decoder: unknown, says: string][] = [
    ["Fuse", '"decoder" must be an object: current value decoder="Fuse"'],
    [{}, '"decoder" in tokenizer.json as "type" is missing'],
    [{ type: "CTC" }, 'must be a decoder of a language model: current value type="CTC"'],
    [{ type: "Sequence", decoders: [{ type: "Dice" }] }, '"decoders.0" in "decoder" in'],
    [{ type: "Sequence" }, '"decoders" is missing'],
    [{ type: "Sequence", decoders: Array(101).fill(strip) }, "steps=101"],
    [{ ...strip, content: "ab" }, '"content" must be one character'],
    [{ ...strip, start: -1 }, "start=-1"],
    [{ ...strip, start: 0.5 }, "start=0.5"],
    [{ type: "Replace", content: "" }, '"pattern" is missing'],
    [{ type: "Replace", pattern: {}, content: "" }, "as String or as Regex"],
    [{ type: "Replace", pattern: { String: "" }, content: "x" }, "as String or as Regex"],
    [{ type: "Replace", pattern: { String: "a" } }, '"content" is missing'],
    [{ type: "Replace", pattern: { Regex: "(a+)+b" }, content: "" }, "take for ever"],
    [{ type: "Replace", pattern: { Regex: "(a" }, content: "" }, "no tokenizer of a known kind"],
    [{ type: "Replace", pattern: { String: "a" }, content: "a".repeat(65) }, "growth=65"],
    [{ type: "Metaspace", replacement: 5 }, "replacement=5"],
    [{ type: "WordPiece", cleanup: "yes" }, 'cleanup="yes"'],
  ];
  for (const [decoder, says] of cases) {
    await assertRejects(() => withDecoder(decoder), CheckpointError, says);
  }
});
