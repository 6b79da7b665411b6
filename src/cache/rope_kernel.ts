/** Rotary position embedding on the device: its table, and the kernel that gives queries their positions. */
import * as wgsl from "../../kernels/mod.ts";
import { checkChoice, checkFinite, checkInteger, checkObject, sentence } from "../base/check.ts";
import type { Buffers, Kernel } from "../gpu/kernel.ts";
import type { Layout } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import type { Dispatch } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import type { Owned } from "../gpu/owned.ts";
import { USAGE } from "../gpu/usage.ts";
import type { CacheSpec, PageLayout } from "./cache_spec.ts";
import {
  type Arrangement,
  compileArrangements,
  type NewRows,
  newRows,
  newShape,
  newStrides,
} from "./new_tokens.ts";
import type { RopeOptions } from "./rope.ts";
import type { Dtype } from "../tensor/dtype.ts";

/** Elements that are rotated: far more than any head has. */
const MOST_DIMS = 2 ** 16;
const WORKGROUP = 64;
const MAX_WORKGROUPS = 1024;
/** u32s of a `RopePair`: frequency, factor and padding. */
const PAIR_WORDS = 4;

/** Options with their defaults filled in. */
export interface FilledRope {
  dims: number;
  firstDim: number;
  style: "halves" | "pairs";
  /** Radians per position of each pair. */
  frequencies: readonly number[];
  attentionFactor: number;
}

/** Fills in and checks the options, which errors call by a name. */
export function fillInRope(
  action: string,
  options: RopeOptions,
  headDim: number,
  name = "rope",
): FilledRope {
  checkObject(action, name, options);
  const { firstDim = 0, style = "halves", base = 10000, attentionFactor = 1 } = options;
  checkInteger(action, `${name}.firstDim`, firstDim, 0);
  const { dims = headDim - firstDim } = options;
  checkInteger(action, `${name}.dims`, dims, 2);
  if (dims % 2 !== 0 || firstDim + dims > headDim || dims > MOST_DIMS) {
    const most = firstDim === 0 ? "headDim" : "headDim - firstDim";
    throw new RangeError(
      sentence(action, `${name}.dims must be even and at most ${most} and ${MOST_DIMS}`, {
        dims,
        ...(firstDim === 0 ? {} : { firstDim }),
        headDim,
      }),
    );
  }
  checkChoice(action, `${name}.style`, style, ["halves", "pairs"]);
  checkFinite(action, `${name}.attentionFactor`, attentionFactor);
  checkFinite(action, `${name}.base`, base);
  if (base <= 0) throw new RangeError(sentence(action, `${name}.base must be above 0`, { base }));
  const given = { name: `${name}.frequencies`, frequencies: options.frequencies };
  const frequencies = frequenciesOf(action, given, { dims, base });
  frequencies.forEach((value, pair) => checkFinite(action, `${given.name}[${pair}]`, value));
  return { dims, firstDim, style, frequencies, attentionFactor };
}

function frequenciesOf(
  action: string,
  { name, frequencies: given }: { name: string; frequencies: RopeOptions["frequencies"] },
  { dims, base }: { dims: number; base: number },
): readonly number[] {
  if (Array.isArray(given)) {
    if (given.length === dims / 2) return [...given];
    throw new RangeError(
      sentence(action, `${name} must be dims / 2 numbers`, {
        frequencies: given.length,
        dims,
      }),
    );
  }
  const defaults = Array.from({ length: dims / 2 }, (_, pair) => base ** (-2 * pair / dims));
  if (given === undefined) return defaults;
  if (typeof given === "function") return defaults.map((value, pair) => given(value, pair));
  throw new TypeError(
    sentence(action, `${name} must be an array or a function`, { frequencies: given }),
  );
}

/** Declares `roped`, which gives a new key its position; without options, which leaves it. */
export function ropePiece(rope?: FilledRope): WgslPiece {
  if (!rope) return { fragments: [wgsl.rope.none] };
  const { dims, firstDim, style } = rope;
  const ROPE_PARTNER = style === "halves" ? dims / 2 : 1;
  return {
    constants: { ROPE_DIMS: dims, ROPE_FIRST: firstDim, ROPE_PARTNER },
    fragments: [wgsl.rope.applied],
  };
}

/** The module that gives queries their positions, which lie in such a way. */
export function ropeQueriesModule(
  rope: FilledRope,
  { headDim, dtype }: { headDim: number; dtype: Dtype },
  arrangement: Arrangement = "padded",
): WgslModule {
  return join("rope queries", ropePiece(rope), {
    types: { T: dtype },
    constants: { HEAD_DIM: headDim, WORKGROUP },
    fragments: [
      ...(arrangement === "ragged" ? [wgsl.newTokens] : []),
      ...[wgsl.queryPositions[arrangement], wgsl.ropeQueries],
    ],
  });
}

/** Bytes of the table of a rotary position embedding. */
export function ropeBytes({ frequencies }: Pick<FilledRope, "frequencies">): number {
  return frequencies.length * PAIR_WORDS * 4;
}

/**
 * The table of `RopePair`s. A frequency is kept as a fraction of a turn in 64 bits, so that position x frequency modulo a
 * turn needs nothing but integers.
 */
export function ropeTable({ frequencies, attentionFactor }: FilledRope): ArrayBuffer {
  const table = new DataView(new ArrayBuffer(ropeBytes({ frequencies })));
  frequencies.forEach((frequency, pair) => {
    const turns = frequency / (2 * Math.PI);
    const fraction = BigInt.asUintN(64, BigInt(Math.floor((turns - Math.floor(turns)) * 2 ** 64)));
    const offset = pair * PAIR_WORDS * 4;
    table.setUint32(offset, Number(fraction >> 32n), true);
    table.setUint32(offset + 4, Number(fraction & 0xffff_ffffn), true);
    table.setFloat32(offset + 8, attentionFactor, true);
  });
  return table.buffer;
}

/** Queries in need of positions: [B, S, N, H] or [B, N, S, H], or end to end [tokens, N, H]. */
interface Queries extends NewRows {
  layout: Layout;
  batch: number;
  numHeads: number;
  buffer: GPUBuffer;
}

/** The table of a rotary position embedding on a device, and the kernel that applies it to queries. */
export class Rope {
  /** The options that it applies. */
  readonly filled: FilledRope;
  /** [dims / 2] `RopePair` */
  readonly table: GPUBuffer;
  /** By how queries lie: end to end over pages alone. */
  readonly #kernels: Partial<Record<Arrangement, Kernel>>;
  readonly #params: KeptBuffers;

  private constructor(
    filled: FilledRope,
    kernels: Partial<Record<Arrangement, Kernel>>,
    made: { table: GPUBuffer; params: KeptBuffers },
  ) {
    this.filled = filled;
    this.table = made.table;
    this.#kernels = kernels;
    this.#params = made.params;
  }

  /** Compiles the kernel; `owned` keeps what it needs. */
  static async create(
    gpu: Gpu,
    owned: Owned,
    rope: FilledRope,
    spec: { headDim: number; dtype: Dtype; pages?: PageLayout },
  ): Promise<Rope> {
    const kernels = await compileArrangements(
      gpu,
      spec,
      (arrangement) => ropeQueriesModule(rope, spec, arrangement),
    );
    const bytes = new Uint8Array(ropeTable(rope));
    const table = await gpu.guard("allocate rope", () => {
      const size = bytes.byteLength;
      const buffer = owned.keep(gpu.device.createBuffer({
        ...{ label: "rope table", size, usage: USAGE.storage, mappedAtCreation: true },
      }));
      new Uint8Array(buffer.getMappedRange()).set(bytes);
      buffer.unmap();
      return buffer;
    });
    return new Rope(rope, kernels, { table, params: owned.keep(new KeptBuffers()) });
  }

  bind(queries: Queries, counters: Buffers): Dispatch {
    const { batch, numHeads, seqLen, arrangement, layout } = queries;
    const workgroups = Math.ceil(seqLen * numHeads * (this.filled.dims / 2) / WORKGROUP);
    const kernel = this.#kernels[arrangement]!;
    const params = this.#params.get(
      `${numHeads} heads of ${seqLen} tokens, ${arrangement}`,
      () => kernel.uniform({ stride: newStrides(queries, layout, numHeads), numHeads, seqLen }),
    );
    return kernel.bind(
      { ...counters, params, ropeTable: this.table, x: queries.buffer },
      [Math.min(workgroups, MAX_WORKGROUPS), arrangement === "ragged" ? 1 : batch],
    );
  }
}

/** How queries of a cache are rotated before their tokens are appended, by kernels that do more to them. */
export interface QueryRotation {
  filled: FilledRope;
  arrangement: Arrangement;
  /** Sequences that have as many queries; 1 where those of all lie end to end. */
  batch: number;
  /** What the positions and `roped` read, by the names of the kernels' variables. */
  buffers: Buffers;
}

const rotations = new WeakMap<object, QueryRotation>();

/** Remembers how queries of a cache are rotated, for the layers around it; not at all without a rope. */
export function keepRotation(
  cache: object,
  rope: Rope | undefined,
  rotation: Pick<QueryRotation, "arrangement" | "batch"> & { counters: Buffers },
): void {
  if (!rope) return;
  const { counters, ...rows } = rotation;
  const buffers = { ...counters, ropeTable: rope.table };
  rotations.set(cache, { filled: rope.filled, ...rows, buffers });
}

/** How queries of a cache are rotated before their tokens are appended; undefined where they are not. */
export function rotationOf(cache: object): QueryRotation | undefined {
  return rotations.get(cache);
}

/** The action that errors about queries name. */
export const ROPE_QUERIES = "rotate queries";

/**
 * Checks queries [B, S, N, headDim] (or [B, N, S, headDim], or over pages [tokens, N, headDim]) and binds their rotation in
 * place, to the positions that the counters of the cache give them: of the last S tokens, or of the new ones.
 */
export function bindQueries(
  rope: Rope | undefined,
  q: Tensor,
  counters: Buffers,
  { gpu, spec }: { gpu: Gpu; spec: CacheSpec },
): { dispatch: Dispatch; seqLen: number; arrangement: Arrangement } {
  if (!rope) {
    throw new TypeError(
      sentence(ROPE_QUERIES, "the cache must be created with rope", { rope: undefined }),
    );
  }
  const { layout, batch, headDim, dtype } = spec;
  const rows = newRows(q, spec);
  const shape = newShape(rows, spec, rows.numHeads, headDim);
  checkTensor(ROPE_QUERIES, "q", q, { gpu, shape, dtype });
  const queries = { ...rows, layout, batch, buffer: q.buffer };
  return { dispatch: rope.bind(queries, counters), ...rows };
}
