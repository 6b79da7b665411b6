// What `deno run quality` measures and shows, without a GPU.
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { renderSvg } from "../../../cli/shared/report/svg.ts";
import { ReferenceDecoder } from "../../../src/model/reference.ts";
import { attentionMaps, chooseMaps } from "../../../cli/quality/attention_maps.ts";
import { attentionFigure } from "../../../cli/quality/report/attention_figure.ts";
import { GpuWorkError } from "../../../mod.ts";
import { formatTable } from "../../../cli/quality/report/table.ts";
import type { Report } from "../../../cli/quality/result.ts";
import { compareScores, scoreText, scoreTexts } from "../../../cli/shared/score.ts";
import { variantsOf } from "../../../cli/quality/variants.ts";
import { assertClose } from "../../support/compare.ts";
import { testRandomly } from "../../support/random.ts";
import { TINY, weightsOf } from "../../support/models.ts";

const ALL = {
  kvDtypes: ["f32", "f16", "int8", "int4"] as const,
  transforms: ["none", "rotated", "calibrated"] as const,
  sinks: [0, 4],
  pools: ["mean", "first"] as const,
};

Deno.test("variantsOf(): the model as it is, then one change at a time", () => {
  const variants = variantsOf({ numKvHeads: 4 }, 64, { ...ALL, windows: [8], kvHeads: [1] });
  assertEquals(
    variants.map(({ change, kvDtype, transform, window, sinks, numKvHeads, pool }) =>
      [change, kvDtype, transform, window, sinks, numKvHeads, pool].join(" ").trimEnd()
    ),
    [
      "none f32    4",
      "cache dtype f16    4",
      "cache dtype int8    4",
      "cache dtype int8 rotated   4",
      "cache dtype int8 calibrated   4",
      "cache dtype int4    4",
      "cache dtype int4 rotated   4",
      "cache dtype int4 calibrated   4",
      "window f32  8 0 4",
      "window f32  8 4 4",
      "KV heads f32    1 mean",
      "KV heads f32    1 first",
    ],
  );
});

Deno.test("variantsOf(): windows by the text, and every way to pool, where nothing else is asked for", () => {
  const of = (numKvHeads: number, tokens: number) => variantsOf({ numKvHeads }, tokens, ALL);
  const windows = (tokens: number) =>
    of(1, tokens).flatMap(({ window, sinks }) => window ? [`${window}+${sinks}`] : []);
  assertEquals(windows(64), ["32+0", "32+4", "16+0", "16+4", "8+0", "8+4"]);
  // Windows that show all change nothing.
  assertEquals(windows(6), ["3+0", "1+0", "1+4"]);
  assertEquals(windows(2), ["1+0"]);
  const pooled = of(6, 64).filter(({ pool }) => pool === "mean");
  assertEquals(pooled.map(({ numKvHeads }) => numKvHeads), [3, 2, 1]);
  assert(of(1, 64).every(({ pool }) => pool === undefined));
  assertThrows(
    () => variantsOf({ numKvHeads: 6 }, 64, { ...ALL, kvHeads: [4] }),
    RangeError,
    "kv-heads=4, numKvHeads=6",
  );
});

Deno.test("scoreText(): by hand, and in pieces", async () => {
  const pieces: number[] = [];
  // Thrice as likely as each of the others is the token itself.
  const decoder = {
    forward: (tokens: readonly number[]) => {
      pieces.push(tokens.length);
      const rows = tokens.flatMap((token) =>
        [0, 1, 2].map((next) => next === token ? 100 + Math.log(3) : 100)
      );
      return Promise.resolve(Float32Array.from(rows));
    },
  };
  const text = [0, 0, 1, 2];
  const { nlls, likeliest } = await scoreText(decoder, text, 3);
  assertClose(nlls, [Math.log(5 / 3), Math.log(5), Math.log(5)], 1e-5, "NLL");
  assertEquals([likeliest, pieces], [[0, 0, 1], [4]]);

  const long = await scoreText(decoder, new Array(129).fill(1), 3);
  assertEquals([long.nlls.length, long.likeliest.length], [128, 128]);
  assertEquals(pieces.slice(1), [64, 64, 1]);
});

Deno.test("scoreTexts(): each from an empty decoder", async () => {
  const calls: string[] = [];
  const decoder = {
    clear: () => void calls.push("clear"),
    forward: (tokens: readonly number[]) => {
      calls.push(`forward ${tokens}`);
      return Promise.resolve(Float32Array.from(tokens.flatMap(() => [0, 5])));
    },
  };
  let done = 0;
  const { nlls, likeliest } = await scoreTexts(decoder, [[0, 1, 1], [1, 0]], 2, () => void done++);
  assertEquals(calls, ["clear", "forward 0,1,1", "clear", "forward 1,0"]);
  assertEquals([nlls.length, likeliest, done], [3, [1, 1, 1], 2]);
});

Deno.test("scoreText(): a logit that is not a number is an error", async () => {
  for (const bad of [NaN, Infinity]) {
    const decoder = {
      forward: (tokens: readonly number[]) =>
        Promise.resolve(Float32Array.from(tokens.flatMap((_, i) => [0, i === 2 ? bad : 0]))),
    };
    await assertRejects(
      () => scoreText(decoder, [0, 1, 0, 1, 0], 2),
      GpuWorkError,
      "position=2",
    );
  }
});

Deno.test("variantsOf(): refuses a window that would change nothing", () => {
  const of = (...windows: number[]) => variantsOf({ numKvHeads: 1 }, 64, { ...ALL, windows });
  assertEquals(of(63).filter(({ change }) => change === "window").length, 1);
  assertThrows(() => of(8, 64), RangeError, "window=64, sinks=[0, 4], tokens=64");
});

const ROW = { kvDtype: "f32", numKvHeads: 2, cacheBytes: 2048 } as const;
const REPORT: Report = {
  schema: 1,
  model: "a.bin",
  adapter: { description: "GPU", isSoftware: false },
  text: { source: "b.txt", tokens: 8 },
  rows: [
    { ...ROW, change: "none", nll: Math.log(4), perplexity: 4, agreement: 1 },
    {
      ...{ ...ROW, change: "window", window: 8, sinks: 4, cacheBytes: 512 },
      ...{ nll: Math.log(5), perplexity: 5, agreement: 0.75 },
    },
    {
      ...{ ...ROW, change: "KV heads", numKvHeads: 1, pool: "mean", cacheBytes: 1024 },
      ...{ nll: NaN, perplexity: NaN, agreement: 0 },
    },
  ],
};

Deno.test("compareScores(): means, perplexity and agreement", () => {
  const unchanged = { nlls: [1, 3], likeliest: [5, 6] };
  assertEquals(compareScores({ nlls: [1, 2], likeliest: [5, 7] }, unchanged), {
    ...{ nll: 1.5, perplexity: Math.exp(1.5), agreement: 0.5 },
  });
});

Deno.test("quality's table: what merging kept of each layer stands below", () => {
  const layer = { values: 0.5, error: { merged: 0.2, refitted: 0.012345 }, rounds: 3, drift: 0.1 };
  const merge = [{ ...layer, keys: 0.875 }, layer];
  const [none, , pooled] = REPORT.rows;
  const rows = [none, { ...pooled, pool: "merged" as const, merge }];
  assertEquals(formatTable({ ...REPORT, rows }).split("\n").slice(-5), [
    "",
    "Merged into 1 KV heads",
    "layer  keys kept  values kept  error merged  refitted  rounds    drift",
    "    0    87.50 %      50.00 %       20.00 %    1.23 %       3  10.00 %",
    "    1   averaged      50.00 %       20.00 %    1.23 %       3  10.00 %",
  ]);
});

Deno.test("quality's table: a line for each change", () => {
  assertEquals(formatTable(REPORT).split("\n"), [
    "Model    a.bin",
    "Adapter  GPU",
    "Text     b.txt: 8 tokens predicted",
    "",
    "change    cache  made of  window  sinks  KV heads  pooled  KV cache     NLL  perplexity      x  agreement",
    "none      f32    -             -      -         2  -          2 KiB  1.3863        4.00  1.000    100.0 %",
    "window    f32    -             8      4         2  -        512 B    1.6094        5.00  1.250     75.0 %",
    "KV heads  f32    -             -      -         1  mean       1 KiB     NaN         NaN    NaN      0.0 %",
  ]);
});

const SPEC = { ...TINY, dim: 8, numHeads: 4, numKvHeads: 2, layers: [{}, {}, {}] };

testRandomly(
  "attention maps: of the layer and heads that are asked for, in float64",
  async (random) => {
    const weights = weightsOf(SPEC, random);
    const checkpoint = { spec: SPEC, weights, endOfText: [], close: () => Promise.resolve() };
    const tokens = Array.from({ length: 30 }, () => random.integer(0, 2));
    const tokenizer = { decode: ([token]: readonly number[]) => ["", " b", "\n"][token] };
    const choice = chooseMaps(SPEC, { heads: [1, 3] });
    assertEquals(choice, { layer: 1, heads: [1, 3] });
    const maps = await attentionMaps(checkpoint, { ...choice, tokens, tokenizer });
    assertEquals(maps.tokens, tokens.slice(0, 24).map((token) => ["#0", "·b", "↵"][token]));
    const decoder = await ReferenceDecoder.create(SPEC, weights);
    const { attention } = decoder.forward(tokens.slice(0, 24), { attentionOf: 1 });
    assertEquals(maps.weights, attention);

    const svg = await renderSvg(attentionFigure(maps));
    for (const text of ["head 1, KV head 0", "head 3, KV head 1", "Attention of layer 1"]) {
      assertStringIncludes(svg, text);
    }
    assert(!svg.includes("head 0,") && !svg.includes("NaN") && !svg.includes("undefined"));
  },
);

Deno.test("attention maps: the first heads of the middle layer, unless others are asked for", () => {
  const wide = { ...SPEC, numHeads: 71, numKvHeads: 1 };
  assertEquals(chooseMaps(wide, {}), { layer: 1, heads: [0, 1, 2, 3, 4, 5, 6, 7] });
  assertEquals(chooseMaps(SPEC, {}).heads, [0, 1, 2, 3]);
  assertThrows(() => chooseMaps(SPEC, { layer: 3 }), RangeError, "layer=3, count=3");
  assertThrows(() => chooseMaps(SPEC, { heads: [0, 4] }), RangeError, "heads=4, count=4");
});

Deno.test("attention maps: heads that share keys and values stand in one line", () => {
  const columns = (numHeads: number, numKvHeads: number, heads: number) =>
    (attentionFigure({
      ...{ layer: 0, numHeads, numKvHeads, heads: Array.from({ length: heads }, (_, i) => i) },
      ...{ tokens: ["a"], weights: new Float64Array(numHeads).fill(1) },
    }) as { columns: number }).columns;
  assertEquals([columns(8, 4, 8), columns(9, 3, 9), columns(8, 1, 8)], [4, 3, 4]);
  assertEquals([columns(8, 8, 8), columns(8, 4, 1), columns(71, 1, 3)], [4, 1, 3]);
});
