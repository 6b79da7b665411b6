// Functions of the caller's: what their text may be, what an error in it says, and that no name of it meets another.
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  attend,
  Attention,
  type AttentionSpec,
  type MaskMod,
  planAttention,
  referenceAttention,
  type ScoreMod,
  SharedPrefixAttention,
  Tensor,
  WgslError,
} from "../../mod.ts";
import * as wgsl from "../../kernels/mod.ts";
import { compose } from "../../src/gpu/compose.ts";
import { namesOf } from "../../src/gpu/wgsl_names.ts";
import { stagedModules } from "../../src/attend/staged_module.ts";
import { countCalls } from "../support/calls.ts";
import { assertClose, assertSame, TOLERANCE } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { LIMITS, stagedPlan } from "../support/plan.ts";
import { testRandomly } from "../support/random.ts";
import { testRefusals } from "../support/refusals.ts";
import { randomInputs, runAttention, submit, Tensors } from "../support/run.ts";

const SPEC: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 9 };
const IMPLS = ["fused", "staged"] as const;
const PLAIN = "fn plain(score: f32, at: ScoreAt) -> f32 { return score; }";

const plan = (scoreMod: unknown, maskMod?: unknown) => () =>
  planAttention({ ...SPEC, scoreMod, maskMod } as AttentionSpec, LIMITS);
const scoreMod = (given: Partial<ScoreMod>) => plan({ name: "plain", wgsl: PLAIN, ...given });
const text = (wgsl: string) => scoreMod({ wgsl });
const scalars = (scalars: unknown) =>
  plan({ name: "plain", wgsl: PLAIN.replace("score;", "score * x;"), scalars });
const tensors = (tensors: unknown) =>
  plan({ name: "plain", wgsl: PLAIN.replace("score;", "score * x[0];"), tensors });

testRefusals("functions of scores", [
  ["what is no object", plan("plain"), TypeError, "scoreMod must be an object"],
  ["a name that is none", scoreMod({ name: "a b" }), TypeError, 'current value name="a b"'],
  ["a text that is none", plan({ name: "plain" }), TypeError, "scoreMod.wgsl must be text"],
  [
    "a text without its function",
    text("fn other(score: f32, at: ScoreAt) -> f32 { return score; }"),
    TypeError,
    "scoreMod.wgsl must declare fn plain(score: f32, at: ScoreAt) -> f32",
  ],
  [
    "other parameters",
    text("fn plain(score: f32) -> f32 { return score; }"),
    TypeError,
    "scoreMod.wgsl must declare fn plain(score: f32, at: ScoreAt) -> f32",
  ],
  [
    "another result of a mask",
    plan(undefined, { name: "plain", wgsl: "fn plain(at: ScoreAt) -> f32 { return 1.0; }" }),
    TypeError,
    "maskMod.wgsl must declare fn plain(at: ScoreAt) -> bool",
  ],
  [
    "a derivative that is not there",
    scoreMod({ grad: "slope" }),
    TypeError,
    "scoreMod.wgsl must declare fn slope(score: f32, at: ScoreAt) -> f32",
  ],
  [
    "buffers of the text's own",
    text(`@group(0) @binding(0) var<storage> x: array<f32>; ${PLAIN}`),
    TypeError,
    "must declare functions, constants, structs and aliases alone",
  ],
  ["memory of its own", text(`var<private> x: f32; ${PLAIN}`), TypeError, "aliases alone"],
  ["an extension", text(`enable f16; ${PLAIN}`), TypeError, "aliases alone"],
  [
    "what invocations do together",
    text("fn plain(score: f32, at: ScoreAt) -> f32 { return subgroupAdd(score); }"),
    TypeError,
    'nothing that invocations do together: current value name="subgroupAdd"',
  ],
  ["two underscores", text(`const score__x = 1; ${PLAIN}`), TypeError, 'name="score__x"'],
  ["letters beyond ASCII", text(`const ö = 1; ${PLAIN}`), TypeError, 'character="ö"'],
  ["a scalar that is none", scalars({ x: "1" }), TypeError, "scoreMod.scalars.x must be an object"],
  ["a scalar that is not finite", scalars({ x: NaN }), RangeError, "x must be finite in f32"],
  [
    "a scalar of no type",
    scalars({ x: { type: "f16", value: 1 } }),
    TypeError,
    "scoreMod.scalars.x.type must be one of",
  ],
  [
    "a scalar beyond its type",
    scalars({ x: { type: "i32", value: 2 ** 31 } }),
    RangeError,
    "scoreMod.scalars.x must be of i32",
  ],
  [
    "a scalar below its type",
    scalars({ x: { type: "u32", value: -1 } }),
    RangeError,
    "scoreMod.scalars.x must be a whole number of at least 0",
  ],
  ["a scalar that nothing reads", scoreMod({ scalars: { x: 1 } }), TypeError, 'value name="x"'],
  ["a tensor without a shape", tensors({ x: {} }), TypeError, "x.shape must be an array of sizes"],
  [
    "a tensor of an unknown type",
    tensors({ x: { shape: [3], dtype: "int8" } }),
    TypeError,
    "scoreMod.tensors.x.dtype must be one of",
  ],
  ["a name of WGSL's", scalars({ select: 1 }), TypeError, "that WGSL has no meaning for"],
  ["a name of the library's", scalars({ ScoreAt: 1 }), TypeError, "that WGSL has no meaning for"],
  [
    "a name that is both",
    plan({
      ...{ name: "plain", wgsl: PLAIN.replace("score;", "score * x;") },
      ...{ scalars: { x: 1 }, tensors: { x: { shape: [3] } } },
    }),
    TypeError,
    "a name must be a tensor's or a scalar's",
  ],
  [
    "a scalar that the text declares",
    plan({
      name: "plain",
      wgsl: PLAIN.replace("return", "let x = 1.0; return"),
      scalars: { x: 1 },
    }),
    TypeError,
    "must not declare the name of a tensor or a scalar",
  ],
  [
    "one name for two scalars",
    plan(
      { name: "plain", wgsl: PLAIN.replace("score;", "score * x;"), scalars: { x: 1 } },
      { name: "near", wgsl: "fn near(at: ScoreAt) -> bool { return x > 0; }", scalars: { x: 2 } },
    ),
    RangeError,
    "one name among scalars must be the same in scoreMod and maskMod",
  ],
]);

Deno.test("functions of scores: names of kernels have no two underscores", () => {
  const texts = Object.values(wgsl).flatMap((role) =>
    typeof role === "string" ? [role] : Object.values<string>(role)
  );
  for (const text of texts) {
    for (const name of namesOf(text).declared) assert(!name.includes("__"), name);
  }
});

/** What goes wrong where a text's names meet others: those of kernels, of WGSL, of the other text, of members. */
const CLASHING = `
  struct MASKED { params: f32, select: f32, lengths: f32 }
  const params = 0.25;
  const PACK = 2.0;
  alias Wide = f32;
  fn select(score: f32) -> Wide { return score * PACK; }
  fn lengths(at: ScoreAt) -> f32 { return f32(at.head); }
  fn scoreOf(score: f32, at: ScoreAt) -> f32 {
    var s = MASKED(params, select(score), lengths(at)); // params, "scoreOf(", /* and */ mod_
    s.params += params;
    for (var row = 0; row < 2; row++) { s.params += f32(row); }
    return s.params + s.select + s . lengths;
  }`;

testRandomly("functions of scores: no name of a text meets another", async (random) => {
  const inputs = randomInputs(random, SPEC);
  const maskMod: MaskMod = {
    name: "scoreOf",
    wgsl: `
      const params = 3;
      fn main(at: ScoreAt) -> i32 { return at.query - at.key; }
      fn scoreOf(at: ScoreAt) -> bool { return main(at) < params && q[at.head] == 1u; }`,
    tensors: { q: { shape: [4], dtype: "u32" } },
  };
  const seen = { data: [1, 0, 1, 1], shape: [4] };
  const expected = referenceAttention({
    ...inputs,
    scoreMod: (score, { head }) => 0.25 + 0.25 + 1 + 2 * score + head,
    maskMod: ({ head, query, key }) => query - key < 3 && head !== 1,
  }, {});
  for (const impl of IMPLS) {
    const scoreMod: ScoreMod = { name: "scoreOf", wgsl: CLASHING };
    const { o, lse } = await runAttention(
      { ...SPEC, impl, scoreMod, maskMod, outputs: ["lse"] },
      { ...inputs, modTensors: { q: seen } },
    );
    assertClose(o, expected.o, TOLERANCE.f32, impl);
    assertClose(lse!.filter((x) => x > -1e38), expected.lse.filter(Number.isFinite), 1e-4, impl);
  }
});

/** Creates attention with a function, and returns the error that its text leads to. */
async function errorOf(spec: Partial<AttentionSpec>): Promise<WgslError> {
  const gpu = await sharedGpu();
  return await assertRejects(() => Attention.create(gpu, { ...SPEC, ...spec }), WgslError);
}

Deno.test("functions of scores: an error in a text names its line", async () => {
  const wgsl = (line: string) =>
    `\n// A comment.\nfn plain(score: f32, at: ScoreAt) -> f32 {\n  ${line}\n  return score;\n}`;
  const undeclared = await errorOf({ scoreMod: { name: "plain", wgsl: wgsl("let x = nothing;") } });
  assertEquals(undeclared.line, 4);
  const says = 'Cannot compile scoreMod "plain" as WGSL refuses line 4 ("let x = nothing;"): ';
  assert(undeclared.message.startsWith(says), undeclared.message);
  assert(undeclared.message.includes("nothing", says.length), undeclared.message);
  // Names of the library's are none of the caller's.
  for (const name of ["params.scale", "withSoftcap(score)", "MASKED"]) {
    const { line, message } = await errorOf({
      scoreMod: { name: "plain", wgsl: wgsl(`let x = ${name};`) },
    });
    assertEquals(line, 4, message);
  }
  const unclosed = await errorOf({ scoreMod: { name: "plain", wgsl: wgsl("if (score > 1.0) {") } });
  assert(unclosed.message.startsWith('Cannot compile scoreMod "plain" as WGSL refuses '));
  const near = await errorOf({
    maskMod: { name: "near", wgsl: "fn near(at: ScoreAt) -> bool {\n  return at.key;\n}" },
  });
  assert(near.message.startsWith('Cannot compile maskMod "near" as WGSL refuses line'));
});

Deno.test("functions of scores: what they read and do not get is named", async () => {
  const gpu = await sharedGpu();
  using all = new Tensors();
  const wgsl = PLAIN.replace("score;", "score * table[at.head];");
  const scoreMod: ScoreMod = { name: "plain", wgsl, tensors: { table: { shape: [4] } } };
  const attention = all.keep(await Attention.create(gpu, { ...SPEC, scoreMod }));
  const empty = async (...shape: number[]) => all.keep(await Tensor.empty(gpu, shape));
  const [q, k, o] = [await empty(1, 3, 4, 8), await empty(1, 9, 2, 8), await empty(1, 3, 4, 8)];
  const bind = (modTensors?: Record<string, Tensor>) => () =>
    attention.bind({ q, k, v: k, o, modTensors });
  assertThrows(bind(), TypeError, "modTensors.table must be a Tensor");
  const table = await empty(4);
  assertThrows(bind({ table, other: table }), TypeError, 'modTensors=["other"]');
  assertThrows(bind({ table: await empty(5) }), RangeError, "table must have shape [4]");
  assertThrows(bind({ table: o }), RangeError, "table must have shape [4]");
  const integers = await all.upload({ data: [1, 2, 3, 4], shape: [4] }, "u32");
  assertThrows(bind({ table: integers }), TypeError, "modTensors.table must be f32");
  await submit((encoder) => bind({ table })().encode(encoder));
});

Deno.test("functions of scores: an output must not be what they read", async () => {
  const gpu = await sharedGpu();
  using all = new Tensors();
  const wgsl = PLAIN.replace("score;", "score * table[at.head];");
  const scoreMod: ScoreMod = { name: "plain", wgsl, tensors: { table: { shape: [1, 3, 4, 8] } } };
  const attention = all.keep(await Attention.create(gpu, { ...SPEC, scoreMod }));
  const empty = async (...shape: number[]) => all.keep(await Tensor.empty(gpu, shape));
  const [q, k, o] = [await empty(1, 3, 4, 8), await empty(1, 9, 2, 8), await empty(1, 3, 4, 8)];
  const bind = () => attention.bind({ q, k, v: k, o, modTensors: { table: o } });
  assertThrows(bind, TypeError, "every output must have a buffer of its own");
});

Deno.test("functions of scores: another scalar compiles nothing, another text does", async () => {
  const gpu = await sharedGpu();
  using all = new Tensors();
  const wgsl = PLAIN.replace("score;", "score * x;");
  const compiled = (scoreMod: ScoreMod) =>
    countCalls(gpu.device, ["createComputePipelineAsync"], async () => {
      all.keep(await Attention.create(gpu, { ...SPEC, headDim: 12, scoreMod }));
    });
  const first = await compiled({ name: "plain", wgsl, scalars: { x: 1 } });
  assertEquals(first, { createComputePipelineAsync: 1 });
  const second = await compiled({ name: "plain", wgsl, scalars: { x: 2 } });
  assertEquals(second, { createComputePipelineAsync: 0 });
  const other = await compiled({ name: "plain", wgsl: `// Other.\n${wgsl}`, scalars: { x: 2 } });
  assertEquals(other, { createComputePipelineAsync: 0 });
});

Deno.test("functions of scores: kernels without scores do not have them", () => {
  const wgsl = PLAIN.replace("score;", "score * x;");
  const { scores, softmax, products } = stagedModules(
    stagedPlan({
      ...{ ...SPEC, outputs: ["products"] },
      scoreMod: { name: "plain", wgsl, scalars: { x: 1 } },
    }),
  );
  const has = (module = softmax) =>
    compose(module, { enableSubgroups: false }).code.includes("modScalars");
  assertEquals([has(scores), has(softmax), has(products)], [true, false, false]);
});

Deno.test("functions of scores: attend takes their tensors, from arrays and on the device", async () => {
  const gpu = await sharedGpu();
  using all = new Tensors();
  const ones = (...shape: number[]) => ({
    data: new Float32Array(shape.reduce((a, b) => a * b)).fill(1),
    shape,
  });
  const inputs = { q: ones(1, 1, 2, 4), k: ones(1, 3, 1, 4), v: ones(1, 3, 1, 4) };
  const table = { data: [1, 0, 1], shape: [3] };
  const wgsl = "fn seen(at: ScoreAt) -> bool { return table[at.key] == 1u; }";
  const maskMod: MaskMod = { name: "seen", wgsl, tensors: { table: { shape: [3], dtype: "u32" } } };
  const options = { maskMod, outputs: ["weights"] } as const;
  const { weights } = await attend(gpu, { ...inputs, modTensors: { table } }, options);
  assertSame(weights.data, [0.5, 0, 0.5, 0.5, 0, 0.5], "weights of arrays");
  const result = await attend(gpu, {
    ...{ q: await all.upload(inputs.q), k: await all.upload(inputs.k) },
    v: await all.upload(inputs.v),
    modTensors: { table: await all.upload(table, "u32") },
  }, options);
  for (const tensor of Object.values(result)) all.keep(tensor);
  assertSame(await result.weights.download(), weights.data, "weights of tensors");
  await assertRejects(() => attend(gpu, inputs, options), TypeError, "modTensors.table");
});

Deno.test("functions of scores: not for shared prefixes, nor for a reference without their own", async () => {
  const gpu = await sharedGpu();
  const scoreMod: ScoreMod = { name: "plain", wgsl: PLAIN };
  const shared = { ...SPEC, scoreMod, prefix: { capacity: 5 } };
  await assertRejects(() => SharedPrefixAttention.create(gpu, shared), TypeError, "scoreMod");
  const one = { data: [1], shape: [1, 1, 1, 1] };
  const spec: AttentionSpec = { numHeads: 1, headDim: 1, capacity: 1, scoreMod };
  assertThrows(
    () => referenceAttention({ q: one, k: one, v: one }, spec),
    TypeError,
    "scoreMod must be a function in JavaScript",
  );
});
