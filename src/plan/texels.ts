/** Textures of queries, keys, values and dO, whose loads are cheap in software: a kernel fills them before many rows read them. */
import type { Grid } from "../gpu/bound_work.ts";
import { SMALLEST_SUBGROUP } from "../gpu/profile.ts";
import { TEXEL_BYTES } from "../gpu/usage.ts";
import type { Dtype } from "../tensor/dtype.ts";
import { loadPacks, type Loads, loadsOf } from "../tensor/loads.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { visiblePairs } from "./counts.ts";
import { fusedPackSize } from "./fused_tile.ts";
import type { PlanDevice, PlanStart } from "./plan_base.ts";

/** Texels of a line of a texture, and lines: as many as devices in compatibility mode have of both. */
export const TEXELS_WIDE = 4096;
const GUARANTEED_LINES = 4096;

/** Invocations of a workgroup that fills a texture, and loads that are worth one. */
export const FILL_WORKGROUP = 64;
const WORKGROUP_LOADS = 4096;
/** Most workgroups for the rows of a KV head. */
const MOST_FILLING = 64;

/** Tiles that read each key, below which filling a texture takes as long as it saves. */
export const LEAST_TILES = 4;

/** Whether a tensor has a row for each query row, and not for each key. */
export function isOfQueries(name: TexelFill["name"]): boolean {
  return name === "q" || name === "dO";
}

/** A texture, and the run of the kernel that fills it. */
export interface TexelFill {
  /** The tensor that fills it. */
  name: "q" | "k" | "v" | "dO";
  /** The type of its elements. */
  dtype: Dtype;
  /** Elements of its rows. */
  size: number;
  /** The packs that a load of the tensor brings. */
  loads: Loads;
  /** Lines of the texture. */
  lines: number;
  /** Workgroups of each head, and heads of all sequences; those of queries and dO lie as one. */
  grid: Grid;
}

/**
 * The textures that tiles of `tileRows` rows read of the tensors `names`, but of values that are keys; undefined where loads from
 * storage are as cheap, too few tiles read each key, or textures do not fit.
 */
export function planTexels(
  { spec, contextLen, parts }: PlanStart,
  { limits, profile }: PlanDevice,
  tileRows: number,
  names: readonly TexelFill["name"][],
): TexelFill[] | undefined {
  const { dtype, kvDtype, arithmetic, pages, tokens, valuesAre } = spec;
  const { batch, numKvHeads, capacity, headDim, valueDim, numRows, seqLen } = spec;
  const isDear = profile.isSoftware && profile.subgroupSize !== SMALLEST_SUBGROUP;
  // Tokens that lie end to end tell which sequences have new ones, so that the pages of no others are brought to textures.
  const knowsNew = !pages || tokens !== undefined;
  if (
    !isDear || !knowsNew || parts.length > 1 || isQuantized(kvDtype) || arithmetic !== "f32" ||
    fusedPackSize(spec) !== 4
  ) return undefined;
  const heads = batch * numKvHeads;
  // Sequences of the most new tokens, which all of them may be of one.
  const sequences = tokens === undefined ? batch : tokens / seqLen;
  const keys = sequences * numKvHeads * capacity;
  const tiles = visiblePairs({ spec, contextLen }) / (keys * tileRows);
  if (tiles < LEAST_TILES) return undefined;
  // A row lies in the texture where it lies in the pool.
  const kvRows = pages ? numKvHeads * pages.count * pages.size : heads * capacity;
  const fillOf = (name: TexelFill["name"]): TexelFill => {
    const size = name === "q" || name === "k" ? headDim : valueDim;
    const [type, ofHeads, rows, allRows] = isOfQueries(name)
      ? [dtype, 1, numRows, numRows]
      : [kvDtype, heads, capacity, kvRows];
    const loads = loadsOf(profile, type, size);
    const workgroups = Math.ceil(rows * size / (4 * loadPacks(loads)) / WORKGROUP_LOADS);
    return {
      ...{ name, dtype: type, size, loads },
      lines: Math.ceil(allRows * size / 4 / TEXELS_WIDE),
      grid: [Math.min(MOST_FILLING, workgroups), ofHeads],
    };
  };
  const fills = names.filter((name) => name !== "v" || valuesAre !== "keys").map(fillOf);
  const mostLines = limits.maxTextureDimension2D ?? GUARANTEED_LINES;
  const fits = texelBytes(fills) <= spec.maxScratchBytes &&
    heads <= limits.maxComputeWorkgroupsPerDimension &&
    fills.every(({ lines }) => lines <= mostLines);
  return fits ? fills : undefined;
}

/** Bytes of textures. */
export function texelBytes(fills: readonly TexelFill[] = []): number {
  return fills.reduce((sum, { lines }) => sum + lines * TEXELS_WIDE * TEXEL_BYTES, 0);
}
