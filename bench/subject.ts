/** A case made ready on the GPU: inputs, output and the attention that goes from one to the other. */
import {
  Attention,
  type AttentionSpec,
  type BoundWork,
  type Dispatch,
  type Gpu,
  Tensor,
  type Tuning,
} from "../mod.ts";
import type { Case } from "./cases.ts";
import { cacheBytes } from "./counts.ts";
import { randomTensor } from "./random.ts";

/** Total size of the copies that calls rotate over, so that none is served from a cache. */
const ROTATED_BYTES = 256 * 2 ** 20;
/** As many caches as a model has layers: no real decode step rotates over more. */
const MAX_COPIES = 32;

/** Seeds of a case's random inputs; those of a copy follow on, but for a bias, which has none. */
export const SEEDS = { bias: 0, q: 1, k: 2, v: 3, perCopy: 3 };

/** The attention of a case. */
export function specOf(case_: Case): AttentionSpec {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype, impl } = case_;
  return {
    ...{ batch, numHeads, numKvHeads, headDim, seqLen, dtype, impl },
    capacity: contextLen,
    kvLayout: "BNSH",
  };
}

/** An attention with its tensors. Calls rotate over copies of the inputs. */
export class Subject {
  readonly case: Case;
  /** Output of the latest call. */
  readonly o: Tensor;
  readonly #attention: Attention;
  readonly #copies: readonly Record<"q" | "k" | "v", Tensor>[];
  readonly #ownsTensors: boolean;
  readonly #bound: readonly BoundWork[];

  private constructor(
    case_: Case,
    attention: Attention,
    copies: readonly Record<"q" | "k" | "v", Tensor>[],
    o: Tensor,
    ownsTensors: boolean,
  ) {
    this.case = case_;
    this.o = o;
    this.#attention = attention;
    this.#copies = copies;
    this.#ownsTensors = ownsTensors;
    this.#bound = copies.map((copy) => attention.bind({ ...copy, o }));
  }

  static async create(gpu: Gpu, case_: Case): Promise<Subject> {
    const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = case_;
    const attention = await Attention.create(gpu, specOf(case_));
    const made: Tensor[] = [];
    const random = async (shape: number[], seed: number) => {
      made.push(await randomTensor(gpu, shape, { dtype, seed }));
      return made.at(-1)!;
    };
    try {
      const count = Math.ceil(ROTATED_BYTES / cacheBytes(case_));
      const copies = [];
      for (let i = 0; i < Math.min(count, MAX_COPIES); i++) {
        const first = i * SEEDS.perCopy;
        copies.push({
          q: await random([batch, seqLen, numHeads, headDim], first + SEEDS.q),
          k: await random([batch, numKvHeads, contextLen, headDim], first + SEEDS.k),
          v: await random([batch, numKvHeads, contextLen, headDim], first + SEEDS.v),
        });
      }
      // Filled with NaN, so that what a kernel forgets to write is seen.
      const shape = [batch, seqLen, numHeads, headDim];
      const poison = new Float32Array(shape.reduce((a, b) => a * b)).fill(NaN);
      const o = await Tensor.upload(gpu, { data: poison, shape }, { dtype, label: "o" });
      return new Subject(case_, attention, copies, o, true);
    } catch (error) {
      attention.destroy();
      for (const tensor of made) tensor.destroy();
      throw error;
    }
  }

  /** The same tensors under an attention of other tiles, the output poisoned anew; destroy it before this one. */
  async retiled(tuning: Tuning): Promise<Subject> {
    const { gpu, buffer } = this.o;
    const attention = await Attention.create(gpu, { ...specOf(this.case), tuning });
    gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0xff));
    return new Subject(this.case, attention, this.#copies, this.o, false);
  }

  /** Encodes one call. */
  encode(pass: GPUComputePassEncoder, call: number): void {
    this.#bound[call % this.#bound.length].encode(pass);
  }

  /** What one call dispatches, in order. */
  get dispatches(): readonly Dispatch[] {
    return this.#bound[0].dispatches;
  }

  destroy(): void {
    this.#attention.destroy();
    if (!this.#ownsTensors) return;
    this.o.destroy();
    for (const tensors of this.#copies) {
      for (const tensor of Object.values(tensors)) tensor.destroy();
    }
  }
}
