/** From logits to the next token, on the device. */
import type { Gpu } from "../gpu/device.ts";
import type { Owned } from "../gpu/owned.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { checkInteger, sentence } from "../base/check.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { Kernel } from "../gpu/kernel.ts";
import { checkRounds } from "../gpu/loop_rounds.ts";
import { loopRounds } from "../gpu/profile.ts";
import * as wgsl from "../../kernels/mod.ts";

/** The choice of the next token. */
export interface Sampling {
  /** Divides the logits; at 0 the likeliest token is chosen. */
  temperature: number;
  /** Share of the likeliest tokens that are drawn from, above 0 and up to 1. */
  topP: number;
  /** Repeats the draws: a whole number below 2^32. */
  seed: number;
}

/** The buffers of a choice. */
interface SamplerBuffers {
  /** f32 [vocabSize] */
  logits: Tensor;
  /** u32: the model reads the first of them next, which is written. */
  tokens: Tensor;
  /** u32: the number of chosen tokens, then the tokens. */
  chosen: Tensor;
  /** The number of tokens so far. */
  lengths: GPUBuffer;
}

/** Fewer lanes are faster where a barrier is dear. */
const WORKGROUP = { software: 8, gpu: 256 };
/** Times that a kernel goes through the vocabulary. */
const LOOPS = { argmax: 1, sample: 34 };
const LARGEST_F32 = 3.4028234663852886e38;

/** The module that chooses the likeliest token. */
export function argmaxModule(vocabSize: number, lanes: number): WgslModule {
  return join("argmax", {
    constants: { VOCAB: vocabSize, WORKGROUP: lanes },
    fragments: [wgsl.choose, wgsl.argmax],
  });
}

/** The module that draws a token. */
export function sampleModule(vocabSize: number, lanes: number): WgslModule {
  return join("sample", lanesPiece(lanes, { shuffles: false }), {
    constants: { VOCAB: vocabSize, WORKGROUP: lanes, LANES: lanes, ROWS: 1 },
    fragments: [wgsl.choose, wgsl.sample],
  });
}

/** Binds the choice of a token, of the likeliest or one drawn; `owned` keeps what it takes. */
export async function bindSampler(
  gpu: Gpu,
  owned: Owned,
  buffers: SamplerBuffers,
  { temperature, topP, seed }: Sampling,
): Promise<BoundWork> {
  const { lengths, logits, tokens, chosen } = buffers;
  const vocabSize = logits.length;
  const bound = {
    ...{ logits: logits.buffer, tokens: tokens.buffer, chosen: chosen.buffer, lengths },
  };
  if (temperature === 0) {
    const lanes = lanesFor(gpu, vocabSize, LOOPS.argmax);
    const kernel = await Kernel.compile(gpu, argmaxModule(vocabSize, lanes));
    return boundWork([kernel.bind(bound, [1, 1])]);
  }
  const lanes = lanesFor(gpu, vocabSize, LOOPS.sample);
  const kernel = await Kernel.compile(gpu, sampleModule(vocabSize, lanes));
  // A temperature too small for f32 leaves only the likeliest token.
  const inverseTemperature = Math.min(1 / temperature, LARGEST_F32);
  const params = owned.keep(kernel.uniform({ inverseTemperature, topP, seed }));
  return boundWork([kernel.bind({ ...bound, params }, [1, 1])]);
}

/** Lanes that share the vocabulary: more than are fast where the device ends loops before these get round it. */
function lanesFor({ profile, device }: Gpu, vocabSize: number, loops: number): number {
  const fast = profile.isSoftware ? WORKGROUP.software : WORKGROUP.gpu;
  const needed = 2 ** Math.ceil(Math.log2(loops * vocabSize / loopRounds(profile)));
  const lanes = Math.min(Math.max(fast, needed), device.limits.maxComputeInvocationsPerWorkgroup);
  checkRounds(profile, "choose a token", Math.ceil(loops * vocabSize / lanes), { vocabSize });
  return lanes;
}

/** Throws unless the values of a sampling are within their bounds. */
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
