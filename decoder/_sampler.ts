/** From logits to the next token, on the device. */
import type { Gpu, Tensor } from "../mod.ts";
import { type BoundWork, boundWork } from "../src/bound.ts";
import { checkInteger, sentence } from "../src/_check.ts";
import { Kernel } from "../src/_kernel.ts";
import { fragments as shared } from "../kernels/mod.ts";
import { fragments, kernels } from "./kernels/mod.ts";

/** How the next token is chosen. */
export interface Sampling {
  /** Divides the logits; at 0 the likeliest token is chosen. */
  temperature: number;
  /** Share of the likeliest tokens that are drawn from, above 0 and up to 1. */
  topP: number;
  /** Repeats the draws: a whole number below 2^32. */
  seed: number;
}

/** What choosing reads and writes. */
interface SamplerBuffers {
  /** f32 [vocabSize] */
  logits: Tensor;
  /** u32, the first of them written: what the model reads next. */
  tokens: Tensor;
  /** u32: how many were chosen, then those. */
  chosen: Tensor;
  /** Tokens so far. */
  lengths: GPUBuffer;
}

/** Fewer lanes are faster where a barrier is dear. */
const WORKGROUP = { software: 8, gpu: 256 };

/** Binds the choice of a token: of the likeliest, or one drawn. */
export async function bindSampler(
  gpu: Gpu,
  buffers: SamplerBuffers,
  { temperature, topP, seed }: Sampling,
): Promise<BoundWork> {
  const lanes = gpu.profile.isSoftware ? WORKGROUP.software : WORKGROUP.gpu;
  const constants = { VOCAB: buffers.logits.length, WORKGROUP: lanes };
  const { lengths, logits, tokens, chosen } = buffers;
  const bound = {
    ...{ logits: logits.buffer, tokens: tokens.buffer, chosen: chosen.buffer, lengths },
  };
  if (temperature === 0) {
    const kernel = await Kernel.compile(gpu, "argmax", {
      constants,
      fragments: [fragments.choose, kernels.argmax],
    });
    return boundWork([kernel.bind(bound, [1, 1])]);
  }
  const kernel = await Kernel.compile(gpu, "sample", {
    constants: { ...constants, LANES: lanes, ROWS: 1 },
    fragments: [fragments.choose, shared.lanesMemory, kernels.sample],
  });
  const params = kernel.uniform({ inverseTemperature: 1 / temperature, topP, seed });
  return boundWork([kernel.bind({ ...bound, params }, [1, 1])]);
}

/** Throws unless a sampling is one that can be. */
export function checkSampling(action: string, { temperature, topP, seed }: Sampling): void {
  checkInteger(action, "seed", seed, 0);
  if (seed >= 2 ** 32) {
    throw new RangeError(sentence(action, "seed must be below 2^32", { seed }));
  }
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    throw new RangeError(
      sentence(action, "temperature must be a finite number of at least 0", { temperature }),
    );
  }
  if (!(topP > 0 && topP <= 1)) {
    throw new RangeError(sentence(action, "topP must be above 0 and at most 1", { topP }));
  }
}
