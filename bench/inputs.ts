/** Random queries, keys and values of a case on the GPU. */
import { type Gpu, type KvDtype, Tensor } from "../mod.ts";
import type { Case } from "./cases.ts";
import { cacheBytes, movedBytes } from "./counts.ts";
import { randomTensor } from "./random.ts";
import { Owned } from "../src/gpu/owned.ts";
import { storageBytes } from "../src/tensor/dtype.ts";

/** Total size of the copies that calls rotate over, so that none is served from a cache. */
const ROTATED_BYTES = 256 * 2 ** 20;
/** As many caches as a model has layers: no real decode step rotates over more. */
const MAX_COPIES = 32;

/** Seeds of a case's random inputs; those of a copy follow on, but for a bias, which has none. */
export const SEEDS = { bias: 0, q: 1, k: 2, v: 3, perCopy: 3 };

/** Bytes of a case's inputs, in all their copies, and of one output. */
export function allocatedBytes(case_: Case): number {
  const { batch, seqLen, numHeads, headDim, valueDim = headDim, dtype } = case_;
  const outputBytes = storageBytes([batch, seqLen, numHeads, valueDim], dtype);
  return copiesOf(case_) * (movedBytes(case_) - outputBytes) + outputBytes;
}

function copiesOf(case_: Case): number {
  return Math.min(Math.ceil(ROTATED_BYTES / cacheBytes(case_)), MAX_COPIES);
}

/** Inputs for every implementation and tiling of a case, in copies that calls rotate over. */
export class CaseInputs {
  readonly gpu: Gpu;
  /** The case they were made for; cases of another implementation take them as well, those without values too. */
  readonly case: Case;
  readonly copies: readonly Record<"q" | "k" | "v", Tensor>[];
  readonly #owned: Owned;

  private constructor(
    gpu: Gpu,
    case_: Case,
    copies: readonly Record<"q" | "k" | "v", Tensor>[],
    owned: Owned,
  ) {
    this.gpu = gpu;
    this.case = case_;
    this.copies = copies;
    this.#owned = owned;
  }

  static async create(gpu: Gpu, case_: Case): Promise<CaseInputs> {
    const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = case_;
    const { valueDim = headDim, kvDtype = dtype } = case_;
    return await Owned.make(async (owned) => {
      const random = async (shape: number[], seed: number) =>
        owned.keep(await randomTensor(gpu, shape, { dtype, seed }));
      const stored = async (size: number, seed: number) => {
        const rows = await random([batch, numKvHeads, contextLen, size], seed);
        return kvDtype === dtype ? rows : owned.keep(await inStorage(rows, kvDtype));
      };
      const copies = [];
      for (let i = 0; i < copiesOf(case_); i++) {
        const first = i * SEEDS.perCopy;
        copies.push({
          q: await random([batch, seqLen, numHeads, headDim], first + SEEDS.q),
          k: await stored(headDim, first + SEEDS.k),
          v: await stored(valueDim, first + SEEDS.v),
        });
      }
      return new CaseInputs(gpu, case_, copies, owned);
    });
  }

  destroy(): void {
    this.#owned.destroy();
  }
}

/** The same rows [B, numKvHeads, C, size] in another element type. The rows given are destroyed. */
async function inStorage(rows: Tensor, dtype: KvDtype): Promise<Tensor> {
  const { gpu, shape } = rows;
  const data = await rows.download();
  rows.destroy();
  return await Tensor.upload(gpu, { data, shape }, { dtype });
}
