/** A case made ready on the GPU: inputs, output and the attention that goes from one to the other. */
import {
  Attention,
  type AttentionSpec,
  type BoundWork,
  type Dispatch,
  Tensor,
  type Tuning,
} from "../mod.ts";
import type { Case } from "./cases.ts";
import type { CaseInputs } from "./inputs.ts";

/** The attention of a case. */
export function specOf(case_: Case): AttentionSpec {
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype, impl } = case_;
  const { valueDim, valuesAre, kvDtype } = case_;
  return {
    ...{ valueDim, valuesAre, kvDtype },
    ...{ batch, numHeads, numKvHeads, headDim, seqLen, dtype, impl },
    capacity: contextLen,
    kvLayout: "BNSH",
  };
}

/** An attention with its output, over inputs that others may share. Calls rotate over their copies. */
export class Subject {
  readonly case: Case;
  /** Output of the latest call. */
  readonly o: Tensor;
  readonly #attention: Attention;
  readonly #bound: readonly BoundWork[];

  private constructor(case_: Case, attention: Attention, { copies }: CaseInputs, o: Tensor) {
    this.case = case_;
    this.o = o;
    this.#attention = attention;
    this.#bound = copies.map(({ q, k, v }) =>
      attention.bind({ q, k, v: case_.valuesAre === "keys" ? undefined : v, o })
    );
  }

  /** Inputs are the caller's, to be destroyed after the subject. */
  static async create(case_: Case, inputs: CaseInputs, tuning?: Tuning): Promise<Subject> {
    const { gpu } = inputs;
    const { batch, numHeads, headDim, valueDim = headDim, seqLen, dtype } = case_;
    const attention = await Attention.create(gpu, { ...specOf(case_), tuning });
    try {
      // Filled with NaN, so that what a kernel forgets to write is seen.
      const shape = [batch, seqLen, numHeads, valueDim];
      const poison = new Float32Array(shape.reduce((a, b) => a * b)).fill(NaN);
      const o = await Tensor.upload(gpu, { data: poison, shape }, { dtype, label: "o" });
      return new Subject(case_, attention, inputs, o);
    } catch (error) {
      attention.destroy();
      throw error;
    }
  }

  /** Encodes one call. */
  encode(pass: GPUComputePassEncoder, call: number): void {
    this.#bound[call % this.#bound.length].encode(pass);
  }

  /** The dispatches of one call, in order. */
  get dispatches(): readonly Dispatch[] {
    return this.#bound[0].dispatches;
  }

  destroy(): void {
    this.#attention.destroy();
    this.o.destroy();
  }
}
