/** All that running a plan takes, as values: a device comes only with the executor. */
import type { WgslModule } from "../gpu/compose.ts";
import type { UniformValues } from "../gpu/host_layout.ts";
import type { Grid } from "../gpu/bound_work.ts";
import { newStrides } from "../cache/new_tokens.ts";
import type { PlanBase } from "../plan/plan_base.ts";
import { scalarBytes } from "../score/mod_pieces.ts";
import { SCALARS } from "../score/mod_text.ts";
import { hasPerHead, perHeadNumbers, scoreParams } from "../score/pieces.ts";
import { rowStrides } from "../tensor/layout.ts";

/** The modules, values, scratch and dispatches of an attention. */
export interface Program {
  /** The modules of its kernels. */
  modules: Readonly<Record<string, WgslModule>>;
  /** Uniform buffers, each laid out as the `params` of a kernel. */
  params: readonly { kernel: string; values: UniformValues }[];
  /** Uniform buffers beside `params` by name: numbers of each query head, and scalars of the caller's functions. */
  uniforms: Readonly<Record<string, ArrayBuffer>>;
  /** Bytes of scratch buffers by name. */
  scratch: Readonly<Record<string, number>>;
  /** Lines of textures by name. */
  textures?: Readonly<Record<string, number>>;
  /** Runs of kernels, in order. */
  dispatches: readonly ProgramDispatch[];
}

/** Bytes of buffers that are bound without the others, by variable. */
export type BoundRanges = Readonly<Record<string, { offset: number; size: number }>>;

/** A run of a kernel. Its variables bind the buffers of their names. */
export interface ProgramDispatch {
  kernel: string;
  grid: Grid;
  /** Index into `params`. */
  params: number;
  /** The part of keys and values that it reads. */
  part: number;
  /** Variables that bind a part of their buffer, as uniforms. */
  ranges?: BoundRanges;
  /** The kernel that binds the same parts as storage, for buffers that were made for nothing else: the same bits, more slowly. */
  stored?: string;
  /** Variables that bind buffers and textures of other names. */
  renamed?: Readonly<Record<string, string>>;
}

/** Values for the `Params` of the attention kernels, but for those that differ between blocks. */
export function paramsOf({ spec, contextLen }: PlanBase): UniformValues {
  const { numHeads, numKvHeads, capacity, layout, kvLayout, pages } = spec;
  const rows = spec.queries;
  return {
    qStride: newStrides(rows, layout, numHeads),
    numHeads,
    kvStride: pages ? [0, pages.count, 1] : rowStrides(kvLayout, numKvHeads, capacity),
    numKvHeads,
    seqLen: rows.seqLen,
    capacity,
    contextLen,
    filledLen: 0,
    ...scoreParams(spec),
    firstTile: 0,
    firstRow: 0,
    scratchRow: 0,
    firstKvRow: 0,
    firstQueryRow: 0,
    slice: 0,
    numRows: spec.numRows,
  };
}

/** The row, or the page, of keys and values with which the part of a block begins. */
export function firstKvRow(
  { spec, parts }: PlanBase,
  block: { part: number; firstBound?: number },
): number {
  return block.firstBound ?? parts[block.part].firstHead * (spec.pages?.count ?? spec.capacity);
}

/** The uniform buffers beside `params` that kernels read. */
export function uniformsOf({ spec }: PlanBase): Record<string, ArrayBuffer> {
  const scalars = scalarBytes(spec);
  return {
    ...(hasPerHead(spec) && { perHead: perHeadNumbers(spec).buffer }),
    ...(scalars && { [SCALARS]: scalars }),
  };
}

/** `rows` rows of each variable from the first on, whose bytes are given by variable. */
export function boundRanges(
  bytes: Readonly<Record<string, number>>,
  rows: number,
  firstRow: number,
): BoundRanges {
  return Object.fromEntries(
    Object.entries(bytes).map((
      [name, size],
    ) => [name, { offset: firstRow * size, size: rows * size }]),
  );
}
