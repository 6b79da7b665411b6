import {
  type AttentionPlan,
  type AttentionSpec,
  type DeviceProfile,
  type KvTransform,
  type MaskMod,
  planAttention,
  planAttentionGradient,
  type ScoreGradient,
  type ScoreMod,
} from "../../mod.ts";
import { blockMaskModule } from "../../src/attend/block_mask.ts";
import { attentionProgram } from "../../src/attend/attention_program.ts";
import { gradientProgram } from "../../src/attend/gradient_program.ts";
import { mergeStatesModule } from "../../src/attend/merge_states.ts";
import { appendModule } from "../../src/cache/append.ts";
import { countChangeModule } from "../../src/cache/changes.ts";
import { forkModules } from "../../src/cache/fork.ts";
import { advanceModule } from "../../src/cache/page_table.ts";
import { isTransformed } from "../../src/cache/kv_transform.ts";
import { fillInRope, ropeQueriesModule } from "../../src/cache/rope_kernel.ts";
import { compose, type WgslModule } from "../../src/gpu/compose.ts";
import { declarationsOf, namesOf } from "../../src/gpu/wgsl_names.ts";
import { linearModule, tileOf, UNIFORM_TILE } from "../../src/layer/linear.ts";
import type { LinearTarget } from "../../src/layer/put.ts";
import { columnSumsModule } from "../../src/layer/column_sums.ts";
import { insideModule } from "../../src/layer/feed_forward.ts";
import { headNormsModule } from "../../src/layer/head_norms.ts";
import { productModule, productTile, stepsOf } from "../../src/layer/linear_gradient.ts";
import { normModule } from "../../src/layer/norm.ts";
import { normGradientModule } from "../../src/layer/norm_gradient.ts";
import { embedModule } from "../../src/model/embedding.ts";
import { embedGradientModule } from "../../src/model/embedding_gradient.ts";
import {
  adjustModule,
  chooseModule,
  countModule,
  logprobsModule,
} from "../../src/model/sampler.ts";
import { SCORE_GRADIENTS } from "../../src/plan/backward_spec.ts";
import { loadsOf } from "../../src/tensor/loads.ts";
import { lossModule } from "../../src/train/losses.ts";
import { adamwModule, clipModule, squaresModule } from "../../src/train/optimizer.ts";
import { CASES } from "./cases.ts";
import { gpuTuning, LIMITS, PROFILES } from "./plan.ts";
import { Random } from "./random.ts";

/** A device of every class, with matrix units of every size that adapters have. */
const DEVICES: Readonly<Record<string, DeviceProfile>> = {
  ...PROFILES,
  "a GPU with matrix units of 8": {
    ...{ isSoftware: false, subgroupSize: 32, longLoads: false, matrix: { m: 8, n: 8, k: 8 } },
  },
  "a GPU with matrix units of 16": {
    ...{ isSoftware: false, subgroupSize: 16, longLoads: false, matrix: { m: 16, n: 8, k: 16 } },
  },
};

const ARRANGEMENTS = ["padded", "ragged"] as const;
const DTYPES = ["f32", "f16"] as const;
const KV_DTYPES = ["f32", "f16", "int8", "int4"] as const;

/** Every kind of module of the library, for every class of device, each once. */
export function everyModule(seed: number): WgslModule[] {
  const random = new Random(seed);
  const modules = [
    ...plans(random).flatMap((plan) => Object.values(attentionProgram(plan).modules)),
    ...uniformModules(random),
    ...longWordModules(),
    ...gradientModules(random),
    ...blockMaskModules(),
    ...cacheModules(),
    ...layerModules(),
    ...trainingModules(),
  ];
  return [...new Map(modules.map((module) => [JSON.stringify(module), module])).values()];
}

/** Few of those modules, in which each two texts and types meet that meet in any. */
export function fewOf(modules: readonly WgslModule[]): WgslModule[] {
  const numbers = new Map<string, number>();
  const numberOf = (text: string) => {
    if (!numbers.has(text)) numbers.set(text, numbers.size);
    return numbers.get(text)!;
  };
  const candidates = modules.map((module) => ({ module, pairs: pairsOf(module, numberOf) }));
  const met = new Set<number>();
  const few: WgslModule[] = [];
  // The modules that bring most come first: it takes half as many of them.
  let least = Math.max(...candidates.map(({ pairs }) => pairs.length));
  for (; least >= 1; least = Math.floor(least / 2)) {
    for (const { module, pairs } of candidates) {
      const fresh = pairs.filter((pair) => !met.has(pair));
      if (fresh.length < least) continue;
      few.push(module);
      for (const pair of fresh) met.add(pair);
    }
  }
  return few;
}

/** Each two texts and types that meet in a module, as one number. */
function pairsOf({ fragments, types }: WgslModule, numberOf: (text: string) => number): number[] {
  const typed = Object.entries(types).map(([name, type]) => `${name} ${type}`);
  const texts = [...fragments, ...typed].map(numberOf).sort((a, b) => a - b);
  return texts.flatMap((one, i) => texts.slice(i).map((other) => one * 2 ** 16 + other));
}

function plans(random: Random): AttentionPlan[] {
  const changed = CASES.map((spec) => withOptions(random, spec));
  const specs = [...CASES, ...changed, ...changed.map((spec) => withTransform(random, spec))];
  return Object.values(DEVICES).flatMap((profile) =>
    specs.flatMap((spec) => {
      const stored: AttentionSpec = {
        ...{ ...spec, dtype: random.pick(DTYPES) },
        kvDtype: random.pick(isTransformed(spec) ? ["int8", "int4"] as const : KV_DTYPES),
        ...{ outputs: random.pick([[], [], ["lse"], ["scores"], ["products", "weights", "lse"]]) },
      };
      const arithmetic = random.pick([...DTYPES, ...(profile.matrix ? ["matrix" as const] : [])]);
      const isTuned = !profile.matrix && random.next() < 0.5;
      const fused: AttentionSpec = {
        ...{ ...stored, outputs: stored.outputs!.filter((output) => output === "lse") },
        ...{ impl: "fused", arithmetic, ...(isTuned && { tuning: gpuTuning(random) }) },
      };
      return [{ ...stored, impl: "staged" } as const, fused].flatMap((spec) =>
        planned(spec, profile)
      );
    })
  );
}

/** Rows of int8 that software loads as integers of 64 bits. */
function longWordModules(): WgslModule[] {
  const spec = { numHeads: 2, headDim: 16, valueDim: 112, capacity: 6, kvDtype: "int8" } as const;
  return Object.values(DEVICES).flatMap((profile) =>
    Object.values(attentionProgram(planAttention(spec, LIMITS, profile)).modules)
  );
}

/** Rows so many and so small that software binds keys and values as uniforms. */
function uniformModules(random: Random): WgslModule[] {
  const small: AttentionSpec = { numHeads: 8, numKvHeads: 2, headDim: 8, seqLen: 40, capacity: 41 };
  return Object.values(DEVICES).flatMap((profile) =>
    Array.from({ length: 4 }, () => withOptions(random, small, false)).flatMap((spec) => {
      const outputs = random.pick([[], ["lse"]] as const);
      return Object.values(
        attentionProgram(planAttention({ ...spec, outputs, impl: "fused" }, LIMITS, profile))
          .modules,
      );
    })
  );
}

function gradientModules(random: Random): WgslModule[] {
  const plain = CASES.filter(({ kvDtype, valuesAre }) => !kvDtype?.startsWith("int") && !valuesAre);
  const specs = plain.map((spec) => withOptions(random, spec, false));
  return Object.values(DEVICES).flatMap((profile) =>
    [...plain, ...specs].flatMap((spec) => {
      const stored = { ...spec, dtype: random.pick(DTYPES), kvDtype: random.pick(DTYPES) };
      // Distances of slopes, beside a bias and a mask, are more than the 8 buffers that every device binds.
      const isBound = (name: ScoreGradient) =>
        name !== "dAlibiSlopes" || !stored.bias || !stored.mask;
      const gradients = (Object.keys(SCORE_GRADIENTS) as ScoreGradient[]).filter((name) =>
        stored[SCORE_GRADIENTS[name]] && isBound(name) && random.next() < 0.7
      );
      return (["fused", "staged"] as const).flatMap((impl) => {
        const plan = planAttentionGradient({ ...stored, gradients, impl }, LIMITS, profile);
        return Object.values(gradientProgram(plan, LIMITS).modules);
      });
    })
  );
}

/** Nothing where a tile does not fit, or arithmetic is none of a staged plan. */
function planned(spec: AttentionSpec, profile: DeviceProfile): AttentionPlan[] {
  try {
    return [planAttention(spec, LIMITS, profile)];
  } catch (error) {
    if (error instanceof RangeError) return [];
    throw error;
  }
}

const TABLE_MOD: ScoreMod = {
  name: "biased",
  wgsl: "fn biased(score: f32, at: ScoreAt) -> f32 { return score + table[at.query - at.key]; } " +
    "fn slope(score: f32, at: ScoreAt) -> f32 { return 1.0; }",
  grad: "slope",
  tensors: { table: { shape: [9] } },
};
const SCORE_MOD: ScoreMod = {
  name: "scaled",
  wgsl: "fn scaled(score: f32, at: ScoreAt) -> f32 { return score * factor * f32(at.head); } " +
    "fn slope(score: f32, at: ScoreAt) -> f32 { return factor * f32(at.head); }",
  grad: "slope",
  scalars: { factor: 2 },
};
const MASK_MOD: MaskMod = {
  name: "isNear",
  wgsl: "fn isNear(at: ScoreAt) -> bool { return at.query - at.key < reach; }",
  scalars: { reach: { type: "i32", value: 5 } },
};

function withOptions(random: Random, spec: AttentionSpec, mayHavePages = true): AttentionSpec {
  const { numHeads, seqLen = 1, capacity } = spec;
  const some = <Value>(value: Value) => random.next() < 0.5 ? value : undefined;
  const perHead = Array(numHeads).fill(1);
  const isPaged = mayHavePages && !spec.valuesAre;
  const pages = isPaged ? some({ size: 16, count: capacity }) : undefined;
  const tokens = pages && some(seqLen + 3);
  // A table of pages, a bias, a mask and states of slices are more than the 8 buffers that every device binds, and so are
  // these and tensors of functions.
  const [hasMods, hasTensors] = [random.next() < 0.5, random.next() < 0.5];
  const [bias, mask] = [some([tokens ?? seqLen, capacity]), some([seqLen, capacity])];
  return {
    ...{ ...spec, sinks: spec.sinks ?? random.integer(0, 2), softcap: some(9) },
    ...{ alibiSlopes: some(perHead), sinkLogits: some(perHead) },
    bias: hasTensors ? undefined : bias,
    mask: pages || hasTensors ? undefined : mask,
    ...(hasMods && { scoreMod: SCORE_MOD, maskMod: MASK_MOD }),
    blockMask: hasMods && !hasTensors && !pages && !mask && random.next() < 0.5,
    ...(hasTensors && { scoreMod: TABLE_MOD }),
    ...{ kvLayout: "BNSH", pages, tokens },
  };
}

/** Calibrated or rotated; a rotation is of sizes that two divides. */
function withTransform(random: Random, spec: AttentionSpec): AttentionSpec {
  const { headDim, valueDim = headDim } = spec;
  const kvRotation = random.next() < 0.5 && headDim % 2 + valueDim % 2 === 0
    ? { kvRotation: "hadamard" as const }
    : {};
  const kvCalibrated = !kvRotation.kvRotation || random.next() < 0.5;
  return { ...spec, ...kvRotation, kvCalibrated };
}

function blockMaskModules(): WgslModule[] {
  const perHead: MaskMod = {
    name: "isOfHead",
    wgsl: "fn isOfHead(at: ScoreAt) -> bool { return i32(at.head) < at.key; }",
  };
  return Object.values(DEVICES).flatMap((profile) =>
    [MASK_MOD, perHead].map((maskMod) => {
      const spec = { numHeads: 4, headDim: 8, capacity: 9, maskMod };
      return blockMaskModule(planAttention(spec, LIMITS, profile), profile);
    })
  );
}

function cacheModules(): WgslModule[] {
  const shape = { batch: 3, numKvHeads: 1, headDim: 8, valueDim: 5, capacity: 9, sinks: 2 };
  const ropes = [
    undefined,
    ...(["halves", "pairs"] as const).map((style) =>
      fillInRope("test", { style, dims: 4, firstDim: 2 }, 8)
    ),
  ];
  const transforms: KvTransform[] = [
    ...[{ kvCalibrated: true }, { kvRotation: "hadamard" }] as const,
    { kvCalibrated: true, kvRotation: "hadamard" },
  ];
  const layouts = { layout: "BSNH", kvLayout: "BSNH" } as const;
  return DTYPES.flatMap((dtype) => [
    advanceModule(),
    countChangeModule(),
    mergeStatesModule(8, dtype),
    mergeStatesModule(5, dtype),
    ...ropes.flatMap((rope) =>
      rope
        ? ARRANGEMENTS.map((arranged) => ropeQueriesModule(rope, { headDim: 8, dtype }, arranged))
        : []
    ),
    ...KV_DTYPES.flatMap((kvDtype) => [
      ...Object.values(forkModules(kvDtype)),
      ...ropes.flatMap((rope) => {
        const spec = { ...shape, ...layouts, dtype, kvDtype };
        const paged = { ...spec, pages: { size: 4, count: 9 } };
        return [
          appendModule(spec, rope, 8),
          ...ARRANGEMENTS.map((arranged) => appendModule(paged, rope, 64, arranged)),
        ];
      }),
      ...ropes.map((rope) =>
        appendModule({ ...shape, ...layouts, dtype, kvDtype, valuesAre: "keys" }, rope, 8)
      ),
      ...(kvDtype === "int8" || kvDtype === "int4" ? transforms : []).flatMap((transform) =>
        [undefined, "keys" as const].map((valuesAre) =>
          appendModule(
            {
              ...{ ...shape, ...layouts, dtype, kvDtype, valuesAre, ...transform },
            },
            ropes[1],
            64,
          )
        ).concat(ARRANGEMENTS.map((arranged) => {
          const pages = { size: 4, count: 9 };
          const paged = { ...shape, ...layouts, dtype, kvDtype, pages, ...transform };
          return appendModule(paged, ropes[1], 64, arranged);
        }))
      ),
    ]),
  ]);
}

function layerModules(): WgslModule[] {
  const targets: LinearTarget[] = ["y", "sum", "added", { qWidth: 8, kvWidth: 2 }];
  const activations = (["silu", "gelu", "geluTanh"] as const).flatMap((kind) =>
    [true, false].map((isGated) => ({ kind, isGated }))
  );
  const flags = [true, false];
  const norms = [
    undefined,
    ...(["rms", "layer"] as const).flatMap((kind) => flags.map((hasBias) => ({ kind, hasBias }))),
  ];
  return Object.values(DEVICES).flatMap((profile) => [
    ...KV_DTYPES.flatMap((dtype) =>
      [64, 7].flatMap((inputs) =>
        [1, 9, 129].flatMap((numTokens) =>
          [undefined, ...activations].map((activation, i) => {
            const target = targets[i % targets.length];
            const loads = loadsOf(profile, dtype, inputs);
            const norm = norms[i % norms.length];
            const shape = {
              ...{ inputs, outputs: 12, rows: 12, dtype, loads, hasBias: i % 2 === 0 },
              norm: norm && { ...norm, isUniform: inputs === 64 && dtype !== "int4" },
            };
            const { subgroupSize, longLoads } = profile;
            return linearModule("linear", shape, tileOf(profile, { numTokens, numRows: 512 }), {
              ...{ activation, target, subgroupSize, longLoads },
            });
          })
        )
      )
    ),
    ...[undefined, ...activations].map((activation, i) => {
      const shape = { inputs: 8, outputs: 12, rows: 12, hasBias: false, isUniform: true } as const;
      const norm = norms[i % norms.length];
      const loaded = {
        ...{ ...shape, dtype: "f32", loads: "packs" } as const,
        norm: norm && { ...norm, isUniform: true },
      };
      return linearModule("linear", loaded, UNIFORM_TILE, {
        ...{ activation, target: "y", ...profile },
      });
    }),
    ...[undefined, { base: 1e4 }].flatMap((rope) =>
      ARRANGEMENTS.flatMap((arrangement) =>
        [8, 64].map((lanes) => {
          const filled = rope && fillInRope("rotate", rope, 12);
          const rotation = filled && { filled, arrangement };
          return headNormsModule({ headDim: 12, lanes, rotation }, profile);
        })
      )
    ),
    ...[undefined, 3].map((heads) => {
      const shape = { inputs: 8, outputs: 12, rows: 12, hasBias: false };
      const loaded = { ...shape, dtype: "f32", loads: loadsOf(profile, "f32", 8) } as const;
      const target = { heads: 3, first: 2, width: 9 };
      return linearModule("linear", loaded, tileOf(profile, { numTokens: 1, numRows: 12, heads }), {
        ...{ heads, target, ...profile },
      });
    }),
    ...(["rms", "layer"] as const).flatMap((kind) =>
      (["y", "sum", { heads: 1, first: 0, width: 40 }] as const).flatMap((to) =>
        flags.flatMap((hasBias) =>
          [
            { lanes: 8, width: 33, packs: "storage", isUniform: false } as const,
            { lanes: 64, width: 36, packs: "held", isUniform: true } as const,
          ].map((shape) => normModule({ ...shape, kind, to, hasBias }, profile))
        )
      )
    ),
    ...KV_DTYPES.flatMap((dtype) =>
      [64, 7].flatMap((dim) =>
        flags.flatMap((hasPositions) =>
          (["padded", "ragged"] as const).map((arrangement) =>
            embedModule({ dim, dtype, hasPositions }, arrangement)
          )
        )
      )
    ),
    ...(["argmax", "sample"] as const).map((kind) => chooseModule(kind, 99, 8)),
    logprobsModule(99, 8),
    adjustModule(99),
    countModule(99),
  ]);
}

function trainingModules(): WgslModule[] {
  const kinds = ["silu", "gelu", "geluTanh"] as const;
  const [targets, directions] = [["y", "sum"], ["forward", "backward"]] as const;
  return Object.values(DEVICES).flatMap((profile) => [
    ...[64, 7].flatMap((width) =>
      (["row", "column"] as const).flatMap((factor) =>
        targets.flatMap((to) =>
          [undefined, ...(width % 4 ? [] : [8])].flatMap((boundRows) =>
            [99, 100].map((rows) => {
              const tile = productTile(profile, { rows, packs: 16 });
              const { longLoads } = profile;
              const of = { factor, width, rows, divisors: [rows], longLoads };
              const steps = stepsOf(tile, of);
              return productModule({ width, factor, to, boundRows, steps }, tile, profile);
            })
          )
        )
      )
    ),
    ...targets.flatMap((to) => [
      columnSumsModule({ width: 33, to, workgroup: 8 }),
      ...[8, 64].flatMap((lanes) => [
        ...(["rms", "layer"] as const).map((kind) =>
          normGradientModule({ width: 33, lanes, kind, to }, profile)
        ),
        ...(["label", "teacher"] as const).map((target) =>
          lossModule(
            { vocabSize: 99, target, to, lanes, packs: lanes === 8 ? "held" : "storage" },
            profile,
          )
        ),
      ]),
    ]),
    ...kinds.flatMap((kind) =>
      [true, false].flatMap((isGated) =>
        directions.flatMap((direction) =>
          ([1, 4] as const).map((pack) => insideModule({ kind, isGated }, direction, pack, profile))
        )
      )
    ),
    ...[64, 7].map((dim) => embedGradientModule(dim, profile)),
    ...[8, 64].flatMap((lanes) => [squaresModule(lanes, profile), clipModule(lanes, profile)]),
    adamwModule(),
  ]);
}

/** The variables that a module binds. */
const BOUND = /\bvar\s*<(uniform|storage)|\bvar\s+\w+\s*:\s*texture_/;

/**
 * What a module is given and does not use: fragments that its kernel never reaches, constants and types that no other
 * fragment names, and variables that are bound and never reached.
 */
export function unusedOf({ types, constants, fragments }: WgslModule): string[] {
  const declarations = fragments.flatMap(declarationsOf).filter((text) => text.trim());
  const byName = new Map(
    declarations.flatMap((text) => [...namesOf(text).declared].map((name) => [name, text])),
  );
  const reached = new Set(declarations.filter((text) => text.includes("@compute")));
  for (const text of reached) {
    for (const name of namesOf(text).needed) {
      if (byName.has(name)) reached.add(byName.get(name)!);
    }
  }
  const isReached = (fragment: string) =>
    declarationsOf(fragment).some((text) => reached.has(text));
  const named = new Set(
    [...fragments.filter(isReached), ...Object.values(types)]
      .flatMap((text) => [...namesOf(text).needed]),
  );
  return [
    ...Object.keys({ ...types, ...constants }).filter((name) => !named.has(name)),
    ...fragments.filter((fragment) => !isReached(fragment)),
    ...declarations.filter((text) => BOUND.test(text) && !reached.has(text)),
  ];
}

/** The text of a module whatever the order of its parts. */
export function unorderedText(module: WgslModule): string {
  return compose(module, { enableSubgroups: true }).code.replace(/@binding\(\d+\)/g, "")
    .split("\n").sort().join("\n");
}
