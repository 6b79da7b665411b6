// tokenizer.json and the files beside it: what begins and ends a text, which tokens there are, and what is refused.
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { TextStream } from "../../../src/model/tokenizer/text_stream.ts";
import { CheckpointError } from "../../../mod.ts";
import {
  added,
  LLAMA_JSON,
  OTHER_JSONS,
  parseJson,
  template,
} from "../../support/tokenizer_json.ts";
import { utf16 } from "../../support/text_files.ts";

const { added_tokens, model } = LLAMA_JSON;
const without = { ...LLAMA_JSON, post_processor: null };
const BYTE_LEVEL = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false };
const sequence = (...processors: unknown[]) => ({ type: "Sequence", processors });
const json = (value: unknown) => JSON.stringify(value);

Deno.test("tokenizer.json: encodes, decodes, streams, and knows what ends a text", async () => {
  const tokenizer = await parseJson(LLAMA_JSON, { config: '{"eos_token":{"content":"</s>"}}' });
  assertEquals([tokenizer.vocabSize, tokenizer.endOfText], [320, [2]]);
  const tokens = tokenizer.encode("ab b€");
  assertEquals(tokens, [1, 263, 259, 261, 3 + 0xe2, 3 + 0x82, 3 + 0xac]);
  assertEquals(tokenizer.decode(tokens), "ab b€");
  const stream = new TextStream(tokenizer, tokens.slice(0, 1));
  assertEquals(tokens.slice(1).map((token) => stream.push([token])), ["ab", " ", "b", "", "", "€"]);
  // The model's matrices may have more rows than there are tokens.
  assertEquals(tokenizer.decode([300, 319]), "");
  assertEquals((await parseJson(LLAMA_JSON)).endOfText, []);
  assertEquals(tokenizer.said, []);
});

Deno.test("tokenizer.json: tokens are whole numbers of the vocabulary, and texts are strings", async () => {
  const tokenizer = await parseJson(LLAMA_JSON);
  const wrong: [tokens: unknown, kind: typeof RangeError | typeof TypeError, says: string][] = [
    [[320], RangeError, "token=320, vocabSize=320"],
    [[-1], RangeError, "-1"],
    [[1.5], RangeError, "1.5"],
    [[NaN], RangeError, "NaN"],
    [["1"], TypeError, '"1"'],
    [[1n], TypeError, "1"],
    [[, 1], TypeError, "undefined"],
    [7, TypeError, "tokens must be an array: current value tokens=7"],
    [null, TypeError, "tokens=null"],
  ];
  for (const [tokens, kind, says] of wrong) {
    assertThrows(() => tokenizer.decode(tokens as number[]), kind, says);
  }
  assertThrows(() => tokenizer.encode(7 as unknown as string), TypeError, "text=7");
});

Deno.test("added tokens beyond the rows: only texts that need one are refused, and name it", async () => {
  const more = { ...LLAMA_JSON, added_tokens: [...added_tokens, added("<image>", 264)] };
  const tokenizer = await parseJson(more, { vocabSize: 264 });
  assertEquals(tokenizer.encode("ab"), [1, 263]);
  const says =
    'the model has no row for a token of it (leave the token out): current values token="<image>", id=264, vocabSize=264';
  assertThrows(() => tokenizer.encode("ab<image>"), RangeError, says);
  assertThrows(() => tokenizer.decode([264]), RangeError, "token=264, vocabSize=264");
  assertEquals((await parseJson(more, { vocabSize: 265 })).encode("<image>ab"), [1, 264, 263]);

  // Some programs list them among the others as well.
  const vocab = { ...model.vocab, "<image>": 264 };
  const listed = { ...more, model: { ...model, vocab } };
  assertEquals((await parseJson(listed, { vocabSize: 264 })).encode("ab"), [1, 263]);
  // Tokens of another model are not those of a padded one.
  const other = { ...LLAMA_JSON, model: { ...model, vocab } };
  const says2 =
    'its tokens must be of the model\'s vocabulary (take the tokenizer of this model): current values token="<image>", id=264, vocabSize=264';
  await assertRejects(() => parseJson(other, { vocabSize: 264 }), CheckpointError, says2);

  const bos = {
    ...LLAMA_JSON,
    added_tokens: [added("<bos>", 264)],
    post_processor: template(["<bos>", 264]),
  };
  const beyond = await parseJson(bos, { vocabSize: 264 });
  assertThrows(() => beyond.encode("ab"), RangeError, 'token="<bos>", id=264');
});

Deno.test("an added token has the number that it asks for, also where another had it", async () => {
  // Tokens that are kept for later are often given other names so.
  const renamed = { ...LLAMA_JSON, added_tokens: [added("<tool>", 262, false)] };
  const tokenizer = await parseJson(renamed);
  assertEquals(tokenizer.encode("b<tool>"), [1, 259, 261, 262]);
  assertEquals(tokenizer.decode([262, 261]), "<tool>b");
});

Deno.test("characters that no token stands for are refused where there is none for the unknown", async () => {
  const bare = { ...without, model: { ...model, unk_token: null, byte_fallback: false } };
  assertEquals((await parseJson(bare)).encode("ab"), [263]);
  const unigram = {
    ...{ added_tokens: [], normalizer: null, pre_tokenizer: null, decoder: null },
    model: { type: "Unigram", vocab: [["a", -1], ["ab", -1.5], ["<unk>", 0]] },
  };
  const tokenizer = await parseJson(unigram);
  assertEquals(tokenizer.encode("aba"), [1, 0]);
  assertThrows(() => tokenizer.encode("abc"), RangeError, 'token="c", id=undefined');
  const withNull = await parseJson({ ...unigram, model: { ...unigram.model, unk_id: null } });
  assertThrows(() => withNull.encode("abc"), RangeError, 'token="c", id=null');
  const withUnknown = { ...unigram, model: { ...unigram.model, unk_id: 2 } };
  assertEquals((await parseJson(withUnknown)).encode("abcc"), [1, 2]);
});

/** What asks for BOS, and the tokens of "ab" and "". */
const BOS: [what: string, tokenizer: unknown, settings: object | undefined, tokens: number[]][] = [
  ["a template alone", LLAMA_JSON, undefined, [1]],
  ["nothing", without, undefined, []],
  ["no template and settings without a word", without, { bos_token: "<s>" }, []],
  ["settings alone", without, { add_bos_token: true, bos_token: "<s>" }, [1]],
  ["settings that have it as an object", without, {
    add_bos_token: true,
    bos_token: { content: "<s>" },
  }, [1]],
  ["both", LLAMA_JSON, { add_bos_token: true, bos_token: "<s>" }, [1]],
  ["a class whose texts begin so", without, {
    tokenizer_class: "GemmaTokenizerFast",
    bos_token: "<s>",
  }, [1]],
  ["null, and such a class", without, {
    add_bos_token: null,
    tokenizer_class: "LlamaTokenizer",
    bos_token: "<s>",
  }, [1]],
  ["such a class that is told not to", LLAMA_JSON, {
    add_bos_token: false,
    tokenizer_class: "LlamaTokenizer",
    bos_token: "<s>",
  }, []],
  ["a template, and another class that is told not to", LLAMA_JSON, {
    add_bos_token: false,
    tokenizer_class: "PreTrainedTokenizerFast",
    bos_token: "<s>",
  }, []],
  [
    "a template behind another step",
    { ...without, post_processor: sequence(BYTE_LEVEL, template(["<s>", 1])) },
    undefined,
    [1],
  ],
  [
    "a template of two, and settings that ask for one of them",
    { ...without, post_processor: template(["<s>", 1], ["▁", 259]) },
    { add_bos_token: true, bos_token: "<s>" },
    [1, 259],
  ],
  [
    "settings besides a template of another token",
    { ...without, post_processor: template(["▁", 259]) },
    { add_bos_token: true, bos_token: "<s>" },
    [1, 259],
  ],
  [
    "two templates",
    { ...without, post_processor: sequence(template(["▁", 259]), template(["<s>", 1])) },
    undefined,
    [1, 259],
  ],
  [
    "Bert's",
    { ...without, post_processor: { type: "BertProcessing", sep: ["</s>", 2], cls: ["<s>", 1] } },
    undefined,
    [1],
  ],
  [
    "Roberta's",
    {
      ...without,
      post_processor: { type: "RobertaProcessing", sep: ["</s>", 2], cls: ["<s>", 1] },
    },
    undefined,
    [1],
  ],
  [
    "a template with a token behind the text",
    {
      ...without,
      post_processor: {
        ...template(["<s>", 1]),
        single: [
          { SpecialToken: { id: "<s>", type_id: 0 } },
          { Sequence: { id: "A", type_id: 0 } },
          { SpecialToken: { id: "<s>", type_id: 0 } },
        ],
      },
    },
    undefined,
    [1],
  ],
];

for (const [what, file, settings, expected] of BOS) {
  Deno.test(`BOS by ${what}`, async () => {
    const tokenizer = await parseJson(file, { config: settings && json(settings) });
    assertEquals(tokenizer.encode(""), expected);
    assertEquals(tokenizer.encode("ab"), [...expected, 263]);
    assertEquals(tokenizer.said, []);
  });
}

Deno.test("BOS: a text that begins with it gets no second one, and that is said once", async () => {
  const tokenizer = await parseJson(LLAMA_JSON);
  assertEquals(tokenizer.encode("<s>ab"), [1, 263]);
  assertEquals(tokenizer.encode("<s>"), [1]);
  assertEquals(tokenizer.encode("ab<s>"), [1, 263, 1]);
  assertEquals(tokenizer.said, [
    'The text begins with "<s>" itself: it is not put before it once more.',
  ]);
  assertEquals(tokenizer.encode("<s><s>ab"), [1, 1, 263]);
  assertEquals(tokenizer.said.slice(1), [
    'The text begins with "<s>" twice: models are trained to see one.',
  ]);
  const two = await parseJson({ ...without, post_processor: template(["<s>", 1], ["▁", 259]) });
  assertEquals(two.encode("<s>ab"), [1, 263]);
  const none = await parseJson(without, { config: json({ bos_token: "<s>" }) });
  assertEquals([none.encode("<s>ab"), none.said], [[1, 263], []]);
});

Deno.test("BOS: from special_tokens_map.json where the settings leave it out; what lacks is said", async () => {
  const config = json({ add_bos_token: true });
  const specialTokensMap = json({ bos_token: { content: "<s>", lstrip: false } });
  assertEquals((await parseJson(without, { config, specialTokensMap })).encode("ab"), [1, 263]);
  const nameless = await parseJson(without, { config });
  assertEquals(nameless.encode("ab"), [263]);
  assertEquals(nameless.said, [
    "No text begins with BOS, which no file names, though the settings ask for it.",
  ]);
  const unknown = await parseJson(without, {
    config: json({ add_bos_token: true, bos_token: "<bos>" }),
  });
  assertEquals(unknown.encode("ab"), [263]);
  assertStringIncludes(unknown.said[0], '"<bos>", which the vocabulary lacks');
});

Deno.test("the end of a text: the model's files and the tokenizer's, and what the vocabulary lacks is said", async () => {
  const ends = async (options: object): Promise<[number[], number, string?]> => {
    const { endOfText, said } = await parseJson(LLAMA_JSON, {
      file: "m/tokenizer.json",
      ...options,
    });
    return [endOfText.toSorted((a, b) => a - b), said.length, said[0]];
  };
  const config = json({ eos_token: "</s>" });
  assertEquals(await ends({ config }), [[2], 0, undefined]);
  assertEquals(await ends({ endOfText: [1, 263] }), [[1, 263], 0, undefined]);
  assertEquals(await ends({ config, endOfText: [2, 263] }), [[2, 263], 0, undefined]);
  const specialTokensMap = json({ eos_token: { content: "ab" } });
  assertEquals(await ends({ specialTokensMap }), [[262], 0, undefined]);
  assertEquals(await ends({ config, specialTokensMap }), [[2], 0, undefined]);
  assertEquals(await ends({ config: json({ eos_token: null }), specialTokensMap }), [
    [262],
    0,
    undefined,
  ]);
  assertEquals(await ends({ config: json({ eos_token: "<|im_end|>" }), endOfText: [2] }), [
    [2],
    1,
    'No text will end with "<|im_end|>", as m/tokenizer_config.json asks: m/tokenizer.json lacks it.',
  ]);
  assertStringIncludes(
    `${(await ends({ specialTokensMap: json({ eos_token: "x" }) }))[2]}`,
    "special_tokens_map.json",
  );
  // The class counts where no file names an end.
  const classEndOfText = [2];
  assertEquals(await ends({ classEndOfText }), [[2], 0, undefined]);
  assertEquals(await ends({ classEndOfText, endOfText: [263] }), [[263], 0, undefined]);
  assertEquals(await ends({ classEndOfText, specialTokensMap }), [[262], 0, undefined]);
  // Not a token that is text here, nor one that there is none of.
  assertEquals(await ends({ classEndOfText: [263, 320] }), [[], 0, undefined]);
  // A row without a token may be generated all the same; a token without a row never is.
  const [unnamed, count, says] = await ends({ endOfText: [300, 320] });
  assertEquals([unnamed, count], [[300], 2]);
  assertEquals(
    says,
    "Texts end with token 300 by the model's files, and m/tokenizer.json has none of that number.",
  );
  const beyond = await parseJson(
    { ...LLAMA_JSON, added_tokens: [...added_tokens, added("<eot>", 264)] },
    { config: json({ eos_token: "<eot>" }), vocabSize: 264 },
  );
  assertEquals(beyond.endOfText, []);
  assertEquals(beyond.said, ['No text will end with token 264 ("<eot>"): the model has 264 rows.']);
});

Deno.test("tokens that the settings name for a purpose are no text", async () => {
  const plain = { ...LLAMA_JSON, added_tokens: [] };
  const decode = async (config: object) =>
    (await parseJson(plain, { config: json(config) })).decode([1, 263, 2, 262]);
  assertEquals(await decode({}), "<s> ab</s>ab");
  assertEquals(await decode({ bos_token: "<s>", eos_token: "</s>" }), "abab");
  assertEquals(await decode({ pad_token: { content: "</s>" } }), "<s> abab");
  assertEquals(await decode({ additional_special_tokens: ["<s>", { content: "ab" }] }), "ab</s>");
});

OTHER_JSONS.forEach((file, i) => {
  const { type } = file.decoder;
  Deno.test(`tokenizer.json with decoder ${type} (${i}): text comes back, BOS before it and no text`, async () => {
    const tokenizer = await parseJson(file);
    const tokens = tokenizer.encode("ab ab a");
    assertEquals([tokens[0], tokens.includes(0), tokens.includes(2)], [1, false, false]);
    assertEquals(tokenizer.decode(tokens), "ab ab a");
    assertEquals(tokenizer.encode("<s>ab")[0], 1);
    assertEquals(tokenizer.encode("<s>ab")[1] === 1, false);
    const stream = new TextStream(tokenizer);
    const parts = tokens.map((token) => stream.push([token])).join("");
    assertEquals(parts + stream.end(), "ab ab a");
  });
});

Deno.test("byte order marks and UTF-16 in all files of a tokenizer", async () => {
  const mark = "\uFEFF";
  const options = { config: `${mark}${json({ eos_token: "</s>" })}` };
  for (const file of [mark + json(LLAMA_JSON), utf16(mark + json(LLAMA_JSON), "little")]) {
    const { endOfText } = await parseJson(file, options);
    assertEquals(endOfText, [2]);
  }
  const map = { specialTokensMap: `${mark}${json({ eos_token: "</s>" })}` };
  assertEquals((await parseJson(LLAMA_JSON, map)).endOfText, [2]);
  await assertRejects(
    () => parseJson(utf16(json(LLAMA_JSON), "little")),
    CheckpointError,
    "Cannot read tokenizer.json as it must be text, and UTF-16 must begin with a byte order mark",
  );
});

const edited = (fields: object) => ({ ...LLAMA_JSON, ...fields });
const ofModel = (fields: object) => edited({ model: { ...model, ...fields } });
const vocab = (entries: object) => ofModel({ vocab: entries, merges: [] });
const split = (pattern: unknown) =>
  edited({ pre_tokenizer: { type: "Split", pattern, behavior: "Isolated" } });

/** What is refused before the package sees it, and what the message must say. */
const REFUSED: [what: string, json: unknown, options: object, says: string][] = [
  ["half a file", '{"model":', {}, "Cannot read tokenizer.json as it is no JSON (mend it there"],
  ["a list", "[]", {}, "must be a JSON object: current value value=[]"],
  ["a number", "7", {}, "must be a JSON object: current value value=7"],
  ["an empty object", "{}", {}, '"model" is missing'],
  [
    "another kind",
    ofModel({ type: "Dice" }),
    {},
    '"type" must be one of BPE, Unigram, WordPiece: current value type="Dice"',
  ],
  ["another vocabulary", LLAMA_JSON, { vocabSize: 263 }, 'token="▁ab", id=263, vocabSize=263'],
  [
    "a huge number of an added token",
    edited({ added_tokens: [added("x", 4294967294)] }),
    {},
    '"id" must be a whole number from 0 to 4194303: current value id=4294967294',
  ],
  [
    "a huge number of a token",
    vocab({ a: 4294967294 }),
    {},
    '"a" must be a whole number from 0 to 4194303',
  ],
  ["a long token of no number", vocab({ ["x".repeat(1e6)]: -1 }), {}, '"xxx'],
  ["a number as text", vocab({ a: "0" }), {}, '"a" must be a whole number'],
  ["a negative number", vocab({ a: -1 }), {}, "a=-1"],
  ["a fraction", vocab({ a: 0.5 }), {}, "a=0.5"],
  [
    "a number as text of an added token",
    edited({ added_tokens: [added("x", "5" as unknown as number)] }),
    {},
    'id="5"',
  ],
  [
    "an added token without a number",
    edited({ added_tokens: [{ content: "x" }] }),
    {},
    '"added_tokens.0" in tokenizer.json as "id" is missing',
  ],
  [
    "an added token without text",
    edited({ added_tokens: [{ id: 1, content: 5 }] }),
    {},
    "content=5",
  ],
  [
    "an added token that is none",
    edited({ added_tokens: [5] }),
    {},
    '"added_tokens.0" must be an object',
  ],
  [
    "a flag that is none",
    edited({ added_tokens: [{ ...added("x", 5), special: "yes" }] }),
    {},
    'special="yes"',
  ],
  ["tokens that are no list", edited({ added_tokens: {} }), {}, '"added_tokens" must be a list'],
  ["no vocabulary", ofModel({ vocab: null }), {}, '"vocab" is missing'],
  ["merges of three", ofModel({ merges: [["a", "b", "c"]] }), {}, 'merges.0=["a", "b", "c"]'],
  ["merges of one", ofModel({ merges: ["ab"] }), {}, 'merges.0="ab"'],
  ["merges that are no list", ofModel({ merges: "a b" }), {}, '"merges" must be a list'],
  [
    "a score that is none",
    edited({ model: { type: "Unigram", vocab: [["a", "1"]] } }),
    {},
    'vocab.0=["a", "1"]',
  ],
  [
    "a piece that is none",
    edited({ model: { type: "Unigram", vocab: [[1, 1]] } }),
    {},
    "vocab.0=[1, 1]",
  ],
  [
    "a word without an end",
    ofModel({ type: "WordPiece", max_input_chars_per_word: 1e9 }),
    {},
    "max_input_chars_per_word=1000000000",
  ],
  [
    "a word of no characters",
    ofModel({ type: "WordPiece", max_input_chars_per_word: 0 }),
    {},
    "max_input_chars_per_word=0",
  ],
  ["an unknown that is no text", ofModel({ unk_token: 5 }), {}, "unk_token=5"],
  [
    "steps of no length",
    edited({ pre_tokenizer: { type: "FixedLength", length: 0 } }),
    {},
    "length=0",
  ],
  [
    "steps of a fraction",
    edited({ pre_tokenizer: { type: "FixedLength", length: 0.1 } }),
    {},
    "length=0.1",
  ],
  ["a pattern that blocks", split({ Regex: "(a|a)*$" }), {}, "take for ever (trust no such file)"],
  [
    "a pattern that blocks in a normalizer",
    edited({ normalizer: { type: "Replace", pattern: { Regex: "(?:x+x+)+y" }, content: "" } }),
    {},
    "take for ever",
  ],
  ["a pattern that is none", split({ Regex: "(" }), {}, "no tokenizer of a known kind"],
  ["a pattern of no text", split({ String: "" }), {}, "as String or as Regex"],
  ["a pattern that is a text", split("a"), {}, '"pattern" must be an object'],
  [
    "texts that grow",
    edited({
      normalizer: {
        type: "Sequence",
        normalizers: Array(40).fill({ type: "Replace", pattern: { String: "a" }, content: "aa" }),
      },
    }),
    {},
    '"normalizer" must not make texts more than 64 times as long: current value growth=1099511627776',
  ],
  [
    "bytes of bytes of bytes",
    edited({ pre_tokenizer: { type: "Sequence", pretokenizers: Array(40).fill(BYTE_LEVEL) } }),
    {},
    '"pre_tokenizer" must not make texts more than 64 times as long',
  ],
  [
    "a space that is long",
    edited({ pre_tokenizer: { type: "Metaspace", replacement: "x".repeat(1e6) } }),
    {},
    "growth=1000001",
  ],
  [
    "a long mark of pieces",
    ofModel({ continuing_subword_prefix: "x".repeat(1e6) }),
    {},
    '"continuing_subword_prefix" must have at most 64 characters',
  ],
  [
    "texts that grow at once",
    edited({ normalizer: { type: "Prepend", prepend: "x".repeat(1e6) } }),
    {},
    "growth=1000001",
  ],
  [
    "steps without end",
    edited({ normalizer: { type: "Sequence", normalizers: Array(101).fill({ type: "NFC" }) } }),
    {},
    "steps=101",
  ],
  [
    "a step of an unknown kind",
    edited({ normalizer: { type: "Dice" } }),
    {},
    "no tokenizer of a known kind",
  ],
  ["nesting without end", `{"decoder":${'{"a":'.repeat(1000)}`, {}, "nested deeper"],
  [
    "a template with a token that lacks",
    edited({ post_processor: template(["<bos>", 1]) }),
    {},
    'special token must be of the vocabulary: current value token="<bos>"',
  ],
  [
    "a template with another number",
    edited({ post_processor: template(["<s>", 5]) }),
    {},
    "ids=[5], expected=[1]",
  ],
  [
    "a template of something else",
    edited({ post_processor: { ...template(), single: [{ Dice: {} }, { Sequence: {} }] } }),
    {},
    "must be a SpecialToken or a Sequence",
  ],
  ["another post-processor", edited({ post_processor: { type: "Dice" } }), {}, 'type="Dice"'],
  [
    "settings that are none",
    LLAMA_JSON,
    { config: "{" },
    "Cannot read tokenizer_config.json as it is no JSON",
  ],
  [
    "a map that is none",
    LLAMA_JSON,
    { specialTokensMap: "[]" },
    "Cannot read special_tokens_map.json",
  ],
  [
    "an end that is a number",
    LLAMA_JSON,
    { config: '{"eos_token":2}' },
    '"eos_token" must be a text, or an object with one as content: current value eos_token=2',
  ],
  ["an end without text", LLAMA_JSON, { config: '{"eos_token":{"id":2}}' }, 'eos_token={"id":2}'],
  [
    "a setting that is no flag",
    LLAMA_JSON,
    { config: '{"add_bos_token":"yes"}' },
    'add_bos_token="yes"',
  ],
];

for (const [what, file, options, says] of REFUSED) {
  Deno.test(`tokenizer.json: refuses ${what}`, async () => {
    const { message } = await assertRejects(() => parseJson(file, options), CheckpointError, says);
    assert(message.length < 1000, message);
  });
}

Deno.test("parseTokenizer(): refuses what its caller gives wrongly", async () => {
  const wrong: [options: object, kind: typeof RangeError | typeof TypeError, says: string][] = [
    [{ vocabSize: "320" }, TypeError, 'vocabSize="320"'],
    [{ vocabSize: 0 }, RangeError, "vocabSize=0"],
    [{ endOfText: ["2"] }, TypeError, '"2"'],
    [{ endOfText: [-1] }, RangeError, "-1"],
    [{ endOfText: [1.5] }, RangeError, "1.5"],
    [{ endOfText: 2 }, TypeError, "endOfText=2"],
  ];
  for (const [options, kind, says] of wrong) {
    await assertRejects(() => parseJson(LLAMA_JSON, options), kind, says);
  }
});
