/** The features that the matrix tries, as data. */
import type { Asked } from "../asked.ts";
import type { GradientCase } from "../gradient/system.ts";

/** Something that attention can do, and the cases that show it. */
export interface Feature {
  name: string;
  /** All of them must be right. */
  cases: readonly Asked[];
  /** Attention whose gradients must be right too. */
  gradients?: readonly GradientCase[];
  /** Whether devices that systems open for it have subgroups. */
  withSubgroups?: boolean;
}

const BASE: Asked = {
  ...{ dtype: "f32", batch: 1, numHeads: 8, numKvHeads: 2, headDim: 64 },
  ...{ seqLen: 1, contextLen: 160 },
};
const DECODE = { seqLen: 1 };
const CHUNK = { seqLen: 16 };
const PREFILL = { seqLen: BASE.contextLen };

const GRADIENTS: readonly GradientCase[] = [8, 2, 1].map((numKvHeads) => ({
  ...{ tokens: 96, numHeads: BASE.numHeads, numKvHeads, headDim: BASE.headDim },
}));

/** The features, on an adapter whose subgroups have this size; 0 where it has none. */
export function featuresOf(subgroupSize: number): Feature[] {
  const window = { window: 20 };
  const sinkLogits = [0.5, -1, 2, 0, 1.5, -0.5, 0.25, 3];
  const features: Feature[] = [
    feature("MQA", { numKvHeads: 1 }, [DECODE, PREFILL]),
    feature("GQA", {}, [DECODE, PREFILL]),
    feature("causal with cache", {}, [CHUNK]),
    feature("window", window, [DECODE, CHUNK, PREFILL]),
    feature("softcap", { softcap: 0.5 }, [DECODE, PREFILL]),
    feature("sinks (learned logits)", { sinkLogits }, [DECODE, PREFILL]),
    feature("bias", { hasBias: true }, [DECODE, PREFILL]),
    feature("f16", { dtype: "f16" }, [DECODE, PREFILL]),
    feature("int8 cache", { kvBits: 8 }, [DECODE, PREFILL]),
    feature("int4 cache", { kvBits: 4 }, [DECODE, PREFILL]),
    feature("pages of a pool", { batch: 2, isPaged: true }, [DECODE, CHUNK]),
    feature("ragged batch", { batch: 3, contextLens: [37, 160, 90] }, [DECODE]),
    feature("latent attention", {
      ...{ numHeads: 128, numKvHeads: 1, headDim: 576, valueDim: 512, valuesAre: "keys" },
    }, [DECODE, CHUNK]),
    feature("scores of one's own", { hasOwnScore: true }, [DECODE, PREFILL]),
    { name: "gradients", cases: [], gradients: GRADIENTS },
    feature("K and V of 256 MiB each", {
      ...{ numHeads: 32, numKvHeads: 32, headDim: 128, contextLen: 16384 },
    }, [DECODE]),
    feature("ring wrap", { ...window, ring: true }, [DECODE]),
  ];
  if (subgroupSize === 0) return features;
  const subgroups = feature(`subgroups of ${subgroupSize}`, {}, [DECODE, PREFILL]);
  return [...features, { ...subgroups, withSubgroups: true }];
}

function feature(
  name: string,
  asked: Partial<Asked>,
  variants: readonly Partial<Asked>[],
): Feature {
  return { name, cases: variants.map((variant) => ({ ...BASE, ...asked, ...variant })) };
}
