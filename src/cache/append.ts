/** Writing new tokens into a cache, on the device. */
import * as wgsl from "../../kernels/mod.ts";
import { sentence } from "../base/check.ts";
import type { Buffers, Kernel } from "../gpu/kernel.ts";
import type { KvPart } from "./kv_memory.ts";
import { type FilledRope, ropePiece } from "./rope_kernel.ts";
import { isAsymmetric, isTransformed, rotationBlock, transformPieces } from "./kv_transform.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { storedRows } from "./kv_shape.ts";
import { quantizedPieces, storedType } from "../tensor/pieces.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import type { Dispatch } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Owned } from "../gpu/owned.ts";
import {
  type Arrangement,
  compileArrangements,
  type NewBuffers,
  type NewRows,
  newStrides,
} from "./new_tokens.ts";
import { pageRowsPiece } from "./slots.ts";
import type { CacheSpec } from "./cache_spec.ts";

/** The values that decide how tokens are written. */
type AppendSpec = Omit<CacheSpec, "window" | "kvLayout">;

/** Where tokens go. */
interface Memory {
  parts: readonly KvPart[];
  /** The counters of sequences, and the tables of pages, rotary positions and channels, by the names of the kernel's variables. */
  buffers: Buffers;
}

const WORKGROUPS = { software: 8, gpu: 64 };
/**
 * More workgroups than this do not make an append faster; each goes round for the rest. With fewer, rows that fill a binding
 * could take more rounds of loops than a software device goes.
 */
const MAX_WORKGROUPS = 2 ** 14;
/** The part of a uniform buffer that the other values leave for the counts of the sequences. */
const PARAMS_BYTES = 64;

/** Throws if a batch has more sequences than one append can write to. */
export function checkSequences(action: string, limits: GPUSupportedLimits, batch: number): void {
  const { maxComputeWorkgroupsPerDimension, maxUniformBufferBindingSize } = limits;
  const mostBatch = Math.min(
    maxComputeWorkgroupsPerDimension,
    Math.floor((maxUniformBufferBindingSize - PARAMS_BYTES) / 16) * 4,
  );
  if (batch <= mostBatch) return;
  throw new RangeError(
    sentence(action, "batch must fit one dispatch of the device (use several caches)", {
      batch,
      mostBatch,
    }),
  );
}

/** Invocations that write a row: on software those of one subgroup, as others would only repeat what finds the row. */
export function appendWorkgroup({ isSoftware }: DeviceProfile): number {
  return isSoftware ? WORKGROUPS.software : WORKGROUPS.gpu;
}

/** The module of an append, of tokens that lie in such a way, by so many invocations to a row. */
export function appendModule(
  spec: AppendSpec,
  rope: FilledRope | undefined,
  workgroup: number,
  arrangement: Arrangement = "padded",
): WgslModule {
  return join(
    "append",
    ropePiece(rope),
    ...storePieces(spec),
    arrivalPiece(spec, arrangement),
    newRows(spec),
    {
      constants: { WORKGROUP: workgroup },
      fragments: [wgsl.append],
    },
  );
}

/** Declares the rows of a new token: its key and its value, or its key alone. */
function newRows({ headDim, valueDim, dtype, valuesAre }: AppendSpec): WgslPiece {
  const [types, HEAD_DIM] = [{ T: dtype }, headDim];
  return valuesAre === "keys"
    ? { types, constants: { HEAD_DIM }, fragments: [wgsl.newRows.keys] }
    : {
      types,
      constants: { HEAD_DIM, VALUE_DIM: valueDim },
      fragments: [wgsl.newRows.keysAndValues],
    };
}

/** Declares where new tokens belong, and the slots that they are stored in. */
function arrivalPiece(
  { batch, sinks, capacity, pages }: AppendSpec,
  arrangement: Arrangement,
): WgslPiece {
  if (pages) {
    const { constants, fragments } = pageRowsPiece(capacity, pages);
    return {
      constants: { ...constants, COUNT_VECTORS: 1 },
      fragments: [...fragments, wgsl.newTokens, wgsl.arrival[arrangement], wgsl.slotRow.pages],
    };
  }
  const constants = { SINKS: sinks, COUNT_VECTORS: countVectors(batch) };
  return { constants, fragments: [wgsl.arrival.ring, wgsl.slotRow.ring] };
}

/** Vectors of four numbers, one for each sequence. */
function countVectors(batch: number): number {
  return Math.ceil(batch / 4);
}

/** Declares `store`, which writes a new row. */
function storePieces(spec: AppendSpec): WgslPiece[] {
  const { kvDtype } = spec;
  return isQuantized(kvDtype)
    ? [...quantizedPieces(kvDtype, isAsymmetric(spec)), ...rowPieces(spec), {
      fragments: [isAsymmetric(spec) ? wgsl.store.asymmetric : wgsl.store.symmetric],
    }]
    : [{ types: { Stored: storedType(kvDtype) }, fragments: [wgsl.store.numbers] }];
}

/** Declares the elements that integers are made of. */
function rowPieces(spec: AppendSpec): WgslPiece[] {
  if (!isTransformed(spec)) return [{ fragments: [wgsl.rowTransform.none] }];
  const { headDim, valueDim } = spec;
  const constants = {
    KEY_BLOCK: rotationBlock(spec, headDim),
    VALUE_BLOCK: rotationBlock(spec, valueDim),
    MOST_ELEMENTS: Math.max(headDim, valueDim),
  };
  return [...transformPieces(spec), { constants, fragments: [wgsl.rowTransform.applied] }];
}

/** The kernel that appends to one cache, and its parameters by the numbers of tokens. */
export class Append {
  /** By how tokens lie: end to end in pages alone. */
  readonly #kernels: Partial<Record<Arrangement, Kernel>>;
  readonly #spec: AppendSpec;
  readonly #memory: Memory;
  readonly #params: KeptBuffers;

  private constructor(
    kernels: Partial<Record<Arrangement, Kernel>>,
    spec: AppendSpec,
    memory: Memory,
    params: KeptBuffers,
  ) {
    this.#kernels = kernels;
    this.#spec = spec;
    this.#memory = memory;
    this.#params = params;
  }

  /** Compiles the kernel; `owned` keeps what it needs. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    spec: AppendSpec,
    rope: FilledRope | undefined,
    memory: Memory,
  ): Promise<Append> {
    const kernels = await compileArrangements(
      gpu,
      spec,
      (arrangement) => appendModule(spec, rope, appendWorkgroup(gpu.profile), arrangement),
    );
    return new Append(kernels, spec, memory, owned.keep(new KeptBuffers()));
  }

  /**
   * One dispatch for each part.
   *
   * @param tokens New keys, and their values where these are not keys.
   * @param counts How many of its tokens each sequence of a ring takes; all of them where there are none.
   */
  bind(tokens: NewBuffers, counts?: readonly number[]): Dispatch[] {
    const { batch, numKvHeads } = this.#spec;
    const { arrangement, seqLen } = tokens;
    const rows = seqLen * numKvHeads * storedRows(this.#spec).length;
    const { parts, buffers } = this.#memory;
    const kernel = this.#kernels[arrangement]!;
    const params = this.#paramsFor(kernel, tokens, counts ?? new Array(batch).fill(seqLen));
    const grid = [Math.min(rows, MAX_WORKGROUPS), arrangement === "ragged" ? 1 : batch] as const;
    return parts.map(({ k, v }, i) =>
      kernel.bind({
        ...{ ...buffers, params: params[i], kNew: tokens.k, k: k.buffer },
        ...(v && tokens.v ? { vNew: tokens.v, v: v.buffer } : {}),
      }, grid)
    );
  }

  /** For each part; a decode loop makes none anew. */
  #paramsFor(kernel: Kernel, rows: NewRows, lengths: readonly number[]): GPUBuffer[] {
    const { layout, batch, numKvHeads, capacity, pages } = this.#spec;
    const { parts } = this.#memory;
    // Sequences in pages have their counts on the device.
    const counts = pages ? [0, 0, 0, 0] : [...lengths, ...new Array(-batch & 3).fill(0)];
    return parts.map(({ firstHead, numHeads }, i) =>
      this.#params.get(
        `${i}: ${counts} of ${rows.seqLen}, ${rows.arrangement}`,
        () =>
          kernel.uniform({
            newStride: newStrides(rows, layout, numKvHeads),
            numKvHeads,
            firstHead,
            endHead: firstHead + numHeads,
            batchHeads: pages ? 0 : numKvHeads,
            capacity: pages?.count ?? capacity,
            advance: i === parts.length - 1 ? 1 : 0,
            counts,
          }),
      )
    );
  }
}
