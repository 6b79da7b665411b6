// Patterns of tokenizers: those of published ones are taken, and those that would block are not.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { patternFault } from "../../../src/model/tokenizer/pattern_fault.ts";

/** As the `tokenizer.json` of these models have them. */
const PUBLISHED: Record<string, string[]> = {
  "GPT-2": [String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`],
  "Llama 3": [
    String
      .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
  "Qwen 2": [
    String
      .raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
  "gpt-oss": [
    String
      .raw`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
  tiktoken: [
    String
      .raw`'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`,
  ],
  "DeepSeek-V2": [
    String.raw`[\r\n]`,
    String.raw`\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿ]+`,
    String.raw`\s?[!-/:-~！-／：-～‘-‟　-。]+`,
    String.raw`\s+$`,
    String.raw`[一-龥ࠀ-一가-퟿]+`,
  ],
  "DeepSeek-V3": [
    String.raw`\p{N}{1,3}`,
    "[一-龥぀-ゟ゠-ヿ]+",
    String
      .raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` +
    "`" +
    String
      .raw`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
  BLOOM: [String.raw` ?[^(\s|[.,!?…。，、।۔،])]+`],
  "Kimi K2": [
    String
      .raw`[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
  ],
  Falcon: ["[0-9][0-9][0-9]"],
  "digits from the right": [String.raw`\p{N}{1,3}(?=(?:\p{N}{3})*(?:\P{N}|$))`],
  T5: [" {2,}"],
};

for (const [model, patterns] of Object.entries(PUBLISHED)) {
  Deno.test(`patternFault() takes those of ${model}`, () => {
    for (const pattern of patterns) assertEquals(patternFault(pattern), undefined, pattern);
  });
}

const HOSTILE: [pattern: string, says: string][] = [
  ["(a+)+b", "several quantifiers"],
  ["(?:a|a)*$", "several quantifiers"],
  ["(?:a|ab|b){2,}c", "several quantifiers"],
  ["(?:a?){40}b", "several quantifiers"],
  ["(?>a*)*b", "several quantifiers"],
  ["(?<x>.*)*b", "several quantifiers"],
  ["(?i:a*)*b", "several quantifiers"],
  [".*.*x", "several quantifiers"],
  ["a*[^b]*c{3}", "several quantifiers"],
  ["a+(?=a+b)", "several quantifiers"],
  [".*(?=.*)x", "several quantifiers"],
  [`${".*?"}${".+?"}x`, "several quantifiers"],
  ["(?=(a|a)*b)c", "several quantifiers"],
  [String.raw`\p{L}{0,100}\p{L}{5,}x`, "several quantifiers"],
  [`(?:a|b){${"0".repeat(100)},}c`, "several quantifiers"],
  [String.raw`\p{${" ".repeat(200)}L}*.*x`, "several quantifiers"],
  ["x|(?:(?:a*)b)*c", "several quantifiers"],
  [`${"a?".repeat(30)}b`, "too many ways"],
  [`${"(?:a|a)".repeat(20)}b`, "too many ways"],
  [`${"a{0,9}".repeat(9)}b`, "too many ways"],
  [`${"a{0,9}".repeat(2)}a{0,10}b`, "too many ways"],
  ["a*a{0,8}b", "too many ways"],
  [String.raw`(a*)\1b`, "refers back"],
  [String.raw`(?<n>a)\k<n>`, "refers back"],
  [`${"(".repeat(5000)}a`, "groups in groups"],
  ["a".repeat(10_001), "more than 10000 characters"],
  // A closing bracket at the beginning of a class is a character, and classes have classes in them.
  ["[]a]*[^]a]*x", "several quantifiers"],
  ["[a[b]*[c]*]*.*x", "several quantifiers"],
  [String.raw`[\]]*.*x`, "several quantifiers"],
];

for (const [pattern, says] of HOSTILE) {
  Deno.test(`patternFault() refuses ${pattern.slice(0, 30)}`, () => {
    assertStringIncludes(`${patternFault(pattern)}`, says);
  });
}

Deno.test("patternFault() takes what cannot be tried again: bounds, and what nothing follows", () => {
  const patterns = [
    ["", "a", "a*", "a*b", "a*b*", "(?:a|b)*", "(a+)+", "(?:abc)*d", "(?:a{3})*d", "a{2,9}b"],
    ["a?b?c?d", "(?:a|b|c)?d", "(?=a*)b", "(?<!a)b*", "(?i)a*", "[a[b]*]*x", "a{,5}b", "{a}*x"],
    ["[^](a+)+]x", "[](a+)+]x", `${"a{0,9}".repeat(3)}b`, "a*a{0,7}b"],
    ["a{x}*y", String.raw`\[*\*`, String.raw`\p{L}*x`, String.raw`\x{61}*x`],
  ].flat();
  for (const pattern of patterns) assertEquals(patternFault(pattern), undefined, pattern);
});
