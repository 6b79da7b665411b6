import { assertEquals } from "@std/assert";
import { modelFingerprint } from "../../src/cluster/mod.ts";

import { TINY, weightsWith } from "../support/models.ts";

const tokenizer = {
  vocabSize: 3,
  endOfText: [2],
  decode: ([token]: readonly number[]) => "abc"[token],
};

Deno.test("modelFingerprint: the same for the same model, another for any other shape, weight or vocabulary", async () => {
  const weights = weightsWith(TINY, { "finalNorm.weight": [1, 2] });
  const same = await modelFingerprint({ ...TINY }, weights, tokenizer);
  const reordered = Object.fromEntries(Object.entries(TINY).reverse()) as typeof TINY;
  assertEquals(
    await modelFingerprint({ ...reordered, scale: undefined }, weights, tokenizer),
    same,
  );
  assertEquals(/^[0-9a-f]{32}$/.test(same), true);
  const others = [
    modelFingerprint({ ...TINY, norm: { kind: "rms", eps: 1e-6 } }, weights, tokenizer),
    modelFingerprint(TINY, weightsWith(TINY, { "finalNorm.weight": [1, 2.5] }), tokenizer),
    modelFingerprint(
      TINY,
      weightsWith(TINY, { "classifier.weight": [1, 2, 3, 4, 5, 6], "finalNorm.weight": [1, 2] }),
      tokenizer,
    ),
    modelFingerprint(TINY, weights, { ...tokenizer, endOfText: [1] }),
    modelFingerprint(TINY, weights, { ...tokenizer, decode: ([token]) => "abd"[token] }),
  ];
  const all = [same, ...await Promise.all(others)];
  assertEquals(new Set(all).size, all.length);
});
