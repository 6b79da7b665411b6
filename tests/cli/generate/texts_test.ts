// Texts by models and tokenizers as people have them: what begins and ends them, and what the commands say of it.
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/generate/command.ts";
import { runCommand as measureQuality } from "../../../cli/quality/command.ts";
import type { Report } from "../../../cli/quality/result.ts";
import { chainFiles } from "../../support/chain_model.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";
import { utf16 } from "../../support/text_files.ts";
import { added, LLAMA_DECODERS, template } from "../../support/tokenizer_json.ts";

const TOKENS = ["<unk>", "<s>", "</s>", "▁", "a", "b", "c", "▁ab", "<0xE2>", "<0x82>", "<0xAC>"];
const [BOS, EOS, A, B, C, AB, E2, X82, AC] = [1, 2, 4, 5, 6, 7, 8, 9, 10];
/** An added token. */
const END = 11;
const VOCAB_SIZE = 12;

const tokenizer = (changes: object = {}) =>
  JSON.stringify({
    added_tokens: [
      ...TOKENS.slice(0, 3).map((token, id) => added(token, id)),
      added("<end_of_turn>", END),
    ],
    normalizer: {
      type: "Sequence",
      normalizers: [{ type: "Replace", pattern: { String: " " }, content: "▁" }],
    },
    post_processor: template(["<s>", BOS]),
    decoder: { type: "Sequence", decoders: LLAMA_DECODERS },
    model: {
      ...{ type: "BPE", unk_token: "<unk>", byte_fallback: true, merges: [] },
      vocab: Object.fromEntries(TOKENS.map((token, id) => [token, id])),
    },
    ...changes,
  });

type Files = Parameters<typeof inFolder>[0];

/** What `generate` makes of a prompt with these files: its text, the tokens it counts, and what else it says. */
async function text(files: Files, prompt: string, ...more: string[]) {
  let result = { code: 0, text: "", prefill: 0, decode: 0, err: "" };
  await inFolder({ "tokenizer.json": tokenizer(), ...files }, async (folder) => {
    const line = ["--model", folder, "--prompt", prompt, "--tokens", "8", ...more];
    const { code, out, err } = await run(runCommand, ...line);
    const counted = (what: string) => Number(out.match(RegExp(`\\n${what} +(\\d+) token`))?.[1]);
    result = {
      ...{ code, text: out.split("\n")[0], err: err.replaceAll(folder, "m").trim() },
      ...{ prefill: counted("prefill"), decode: counted("decode") },
    };
  });
  return result;
}

/** Goes on with a, b, the end of a turn, and then with c for ever. */
const TURN = { [C]: A, [A]: B, [B]: END, [END]: C };
const json = (value: unknown) => JSON.stringify(value);

const ENDS: [what: string, files: Files][] = [
  ["generation_config.json", { "generation_config.json": json({ eos_token_id: [2, END] }) }],
  ["one number", { "generation_config.json": json({ eos_token_id: END }) }],
  ["tokenizer_config.json", { "tokenizer_config.json": json({ eos_token: "<end_of_turn>" }) }],
  ["special_tokens_map.json", {
    "special_tokens_map.json": json({ eos_token: { content: "<end_of_turn>" } }),
  }],
  ["a byte order mark before it", {
    "tokenizer_config.json": `\uFEFF${json({ eos_token: "<end_of_turn>" })}`,
  }],
];

for (const [what, files] of ENDS) {
  Deno.test(`generate: a text ends by ${what}`, async () => {
    const given = await text({ ...chainFiles(VOCAB_SIZE, TURN), ...files }, "c");
    assertEquals(given, { code: 0, text: "cab", prefill: 2, decode: 3, err: "" });
  });
}

Deno.test("generate: a text ends by config.json, and not where nothing says so", async () => {
  for (const eos_token_id of [END, [2, END]]) {
    const given = await text(chainFiles(VOCAB_SIZE, TURN, { eos_token_id }), "c");
    assertEquals([given.text, given.decode], ["cab", 3]);
  }
  const given = await text(chainFiles(VOCAB_SIZE, TURN), "c");
  assertEquals([given.text, given.decode], ["cabcabc", 8]);
  const byClass = await text(chainFiles(VOCAB_SIZE, { [C]: A, [A]: EOS, [EOS]: B }), "c");
  assertEquals([byClass.text, byClass.decode], ["ca", 2]);
});

Deno.test("generate: an end that the vocabulary lacks is said", async () => {
  const files = {
    ...chainFiles(VOCAB_SIZE, TURN),
    "tokenizer_config.json": json({ eos_token: "<|im_end|>" }),
  };
  const { text: written, err } = await text(files, "c");
  assertEquals(written, "cabcabc");
  assertEquals(
    err,
    'No text will end with "<|im_end|>", as m/tokenizer_config.json asks: m/tokenizer.json lacks it.',
  );
});

Deno.test("generate: spaces, special tokens and characters of several tokens come as decoded at once", async () => {
  const words = await text(
    // Null, as Llama's class ends texts with </s>.
    chainFiles(VOCAB_SIZE, { [B]: EOS, [EOS]: AB, [AB]: EOS }, { eos_token_id: null }),
    "b",
    "--tokens",
    "4",
  );
  assertEquals(words.text, "b ab ab");
  const euros = await text(
    chainFiles(VOCAB_SIZE, { [B]: E2, [E2]: X82, [X82]: AC, [AC]: E2 }),
    "b",
  );
  // The last character is not complete.
  assertEquals(euros.text, "b€€\uFFFD");
});

Deno.test("generate: one BOS, whoever asks for it", async () => {
  const files = chainFiles(VOCAB_SIZE, {});
  assertEquals((await text(files, "ab")).prefill, 3);
  const twice = await text(files, "<s>ab");
  assertEquals([twice.prefill, twice.err], [
    3,
    'The text begins with "<s>" itself: it is not put before it once more.',
  ]);
  const settings = { "tokenizer_config.json": json({ add_bos_token: true, bos_token: "<s>" }) };
  const bare = { ...files, "tokenizer.json": tokenizer({ post_processor: null }) };
  assertEquals((await text(bare, "ab")).prefill, 2);
  assertEquals((await text({ ...bare, ...settings }, "ab")).prefill, 3);
});

Deno.test("generate and quality: an added token beyond the rows is in nobody's way", async () => {
  // Rows up to <0xAC>, and one more that has no token.
  const rows = chainFiles(VOCAB_SIZE, { [A]: B, [B]: A });
  const beyond = {
    ...rows,
    "tokenizer.json": tokenizer({
      added_tokens: [added("<s>", BOS), added("<image>", VOCAB_SIZE)],
    }),
    "a.txt": "ab".repeat(9),
  };
  assertEquals((await text(beyond, "ab")).text, "ababababab");
  const { code, err } = await text(beyond, "a<image>b");
  assertEquals(code, 2);
  assertStringIncludes(
    err,
    'the model has no row for a token of it (leave the token out): current values token="<image>", id=12, vocabSize=12',
  );
  await inFolder(beyond, async (folder) => {
    const line = ["--model", folder, "--text", `${folder}/a.txt`, "--tokens", "8", "--json"];
    assertEquals((await run(measureQuality, ...line)).code, 0);
  });
});

Deno.test("quality: a text is the same in every encoding, and ends and marks are no part of it", async () => {
  const files = { ...chainFiles(VOCAB_SIZE, { [A]: B, [B]: A }), "tokenizer.json": tokenizer() };
  const content = "ab ab ba";
  const texts: Record<string, Uint8Array | string> = {
    "plain.txt": content,
    "marked.txt": `\uFEFF${content}`,
    "little.txt": utf16(`\uFEFF${content}`, "little"),
    "big.txt": utf16(`\uFEFF${content}`, "big"),
  };
  await inFolder({ ...files, ...texts, "bare.txt": utf16(content, "little") }, async (folder) => {
    const few = [
      "--window",
      "2",
      "--sinks",
      "0",
      "--cache-dtype",
      "f32",
      "--kv-heads",
      "2",
      "--json",
    ];
    const measure = (name: string) =>
      run(measureQuality, "--model", folder, "--text", `${folder}/${name}`, ...few);
    const rows: Report["rows"][] = [];
    for (const name of Object.keys(texts)) {
      const { code, out, err } = await measure(name);
      assertEquals([code, err], [0, ""]);
      const report: Report = JSON.parse(out);
      assertEquals(report.text.tokens, content.length);
      rows.push(report.rows);
    }
    for (const others of rows.slice(1)) assertEquals(others, rows[0]);
    const { code, err } = await measure("bare.txt");
    assertEquals(code, 2);
    assertMatch(
      err,
      /RangeError: .*bare\.txt as it must be text, and UTF-16 must begin with a byte order mark/,
    );
  });
});

Deno.test("generate and quality: devices and folders in place of files are refused", async () => {
  await inFolder(
    { ...chainFiles(VOCAB_SIZE, {}), "tokenizer.json": tokenizer() },
    async (folder) => {
      const model = ["--model", folder];
      const cases: [command: typeof runCommand, args: string[], kind: string][] = [
        [runCommand, ["--model", "/dev/zero"], "device"],
        [runCommand, [...model, "--tokenizer", "/dev/zero"], "device"],
        [measureQuality, [...model, "--text", "/dev/zero"], "device"],
        [measureQuality, [...model, "--text", folder], "folder"],
      ];
      for (const [command, args, kind] of cases) {
        const { code, err } = await run(command, ...args);
        assertEquals(code, 2);
        assertStringIncludes(
          err,
          `it must be a file (give one, or copy into one what it gives): current value kind="${kind}"`,
        );
      }
    },
  );
});
