/** What the fuzz calls the library with: right arguments, and how they are spoiled. A new option goes in here. */
import type {
  AttendOptions,
  AttentionSpec,
  HostTensor,
  MaskMod,
  RingKvCacheOptions,
  ScoreMod,
} from "../../mod.ts";
import type { Random } from "../support/random.ts";

/** What no option may be, or only some. */
const STRANGE: readonly unknown[] = [
  ...[undefined, null, NaN, Infinity, -Infinity, -1, 0, 1, 1.5, 2, 3, 2 ** 31, 2 ** 32, 2 ** 53],
  ...["", "1", "f16", "f32", "f64", "BNSH", "bsnh", "wrap", "error", "fused", "staged", "weights"],
  ...[true, false, 1n, [], [1], [0, 0], ["scores"], ["lse"], {}, { k: 1 }, new Float32Array(3)],
];

/** The same with one of its values replaced, by something strange. */
export function spoiled<Given extends object>(random: Random, given: Given): Given {
  const name = random.pick(Object.keys(given));
  return { ...given, [name]: random.pick(STRANGE) };
}

/** Something strange. */
export function strange<Kind>(random: Random): Kind {
  return random.pick(STRANGE) as Kind;
}

/** Options of a cache. Head sizes are few, as each is compiled. */
export function drawCacheOptions(
  random: Random,
): Required<Omit<RingKvCacheOptions, "rope" | "valuesAre" | "kvCalibration" | "kvRotation">> {
  const window = random.integer(1, 8);
  const maxSeqLen = random.integer(1, 3);
  const sinks = random.pick([0, 2]);
  return {
    batch: random.integer(1, 3),
    numKvHeads: random.integer(1, 2),
    headDim: 4,
    valueDim: random.pick([3, 4]),
    capacity: sinks + window + maxSeqLen - 1 + random.integer(0, 3),
    ...{ window, sinks, maxSeqLen, overflow: "wrap", dtype: "f32", kvDtype: "f32" },
    layout: random.pick(["BSNH", "BNSH"]),
  };
}

/** Queries, keys and values for a call of `attend`, and its options. */
export function drawAttend(
  random: Random,
): { inputs: Record<"q" | "k" | "v", HostTensor>; options: AttendOptions } {
  const layout = random.pick(["BSNH", "BNSH"] as const);
  const [batch, numKvHeads] = [random.integer(1, 2), random.integer(1, 2)];
  const [seqLen, contextLen] = [random.integer(1, 3), random.integer(1, 9)];
  const valueDim = random.pick([3, 4]);
  const tensor = (heads: number, tokens: number, size: number) =>
    random.tensor(layout === "BSNH" ? [batch, tokens, heads, size] : [batch, heads, tokens, size]);
  return {
    inputs: {
      q: tensor(2 * numKvHeads, seqLen, 4),
      k: tensor(numKvHeads, contextLen, 4),
      v: tensor(numKvHeads, contextLen, valueDim),
    },
    options: {
      causal: random.next() < 0.7,
      window: random.pick([undefined, 1, 3, 100]),
      sinks: random.pick([0, 0, 2]),
      alignment: random.pick(["bottom-right", "top-left", 3]),
      scale: random.pick([undefined, 0.5, -1, 0]),
      softcap: random.pick([undefined, 2]),
      alibiSlopes: random.pick([
        undefined,
        Array.from({ length: 2 * numKvHeads }, () => random.next()),
      ]),
      sinkLogits: random.pick([
        undefined,
        Array.from({ length: 2 * numKvHeads }, () => random.next()),
      ]),
      impl: random.pick(["auto", "fused", "staged"]),
      ...{ layout, dtype: "f32", maxScratchBytes: random.integer(200, 10_000), outputs: [] },
    },
  };
}

/** Functions of scores, some of which are spoiled, and whether the blocks of a mask are asked for. */
function drawMods(random: Random): Pick<AttentionSpec, "scoreMod" | "maskMod" | "blockMask"> {
  const scoreMod: ScoreMod = {
    name: "biased",
    wgsl: "fn biased(score: f32, at: ScoreAt) -> f32 { return score + biases[at.head]; }",
    tensors: { biases: { shape: [random.integer(1, 9)] } },
  };
  const maskMod: MaskMod = {
    name: "near",
    wgsl: "fn near(at: ScoreAt) -> bool { return at.query - at.key < reach; }",
    scalars: { reach: { type: "i32", value: random.integer(1, 9) } },
  };
  const some = <Mod extends object>(mod: Mod) =>
    random.pick([undefined, mod, random.next() < 0.9 ? mod : spoiled(random, mod)]);
  return {
    scoreMod: some(scoreMod),
    maskMod: some(maskMod),
    blockMask: random.pick([false, false, true]),
  };
}

/** A specification to plan. */
export function drawSpec(random: Random): AttentionSpec {
  const numKvHeads = random.integer(1, 9);
  const size = () => Math.ceil(2 ** (random.next() * 8));
  return {
    batch: random.integer(1, 4),
    numHeads: numKvHeads * random.integer(1, 9),
    ...{ numKvHeads, headDim: size(), valueDim: size(), seqLen: size(), capacity: size() },
    causal: random.next() < 0.5,
    window: random.pick([undefined, size()]),
    scale: random.pick([undefined, random.next()]),
    dtype: random.pick(["f32", "f16"]),
    layout: random.pick(["BSNH", "BNSH"]),
    kvLayout: random.pick([undefined, "BSNH", "BNSH"]),
    ...random.pick([
      { kvDtype: undefined, kvCalibrated: undefined, kvRotation: undefined },
      { kvDtype: "int8", kvCalibrated: true, kvRotation: undefined } as const,
      { kvDtype: "int4", kvCalibrated: false, kvRotation: "hadamard" } as const,
    ]),
    ...drawMods(random),
    impl: random.pick(["auto", "fused", "staged"]),
    ...{ outputs: [], maxScratchBytes: 2 ** 20 },
  };
}
