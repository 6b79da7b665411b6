/** Bringing queries, keys, values and dO to textures: kernels, their parameters, and the names by which they bind. */
import * as wgsl from "../../kernels/mod.ts";
import { slotsPiece } from "../cache/slots.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import { FILL_KERNELS, type FillKernel } from "../plan/dispatches.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { FILL_WORKGROUP, isOfQueries, type TexelFill } from "../plan/texels.ts";
import { loadPieces, packPiece } from "../tensor/pieces.ts";
import { contextPieces, storedPiece, TEXELS_PIECE } from "./pieces.ts";

/** The textures, by the variables of the kernel that reads them. */
export const TEXTURES = {
  q: "queryTexels",
  k: "keyTexels",
  v: "valueTexels",
  dO: "dOTexels",
} as const;

/** What a kernel binds under the names of its variables: a tensor, and the texture that it fills. */
export const FILL_NAMES: Readonly<Record<FillKernel, { k: string; filled: string }>> = {
  fillQueries: { k: "q", filled: TEXTURES.q },
  fillKeys: { k: "k", filled: TEXTURES.k },
  fillValues: { k: "v", filled: TEXTURES.v },
  fillDOs: { k: "dO", filled: TEXTURES.dO },
};

/** The kernels that fill textures. */
export function fillModules(
  spec: FilledSpec,
  texels: readonly TexelFill[],
): Partial<Record<FillKernel, WgslModule>> {
  const modules = texels.map((fill) => [FILL_KERNELS[fill.name], fillModule(spec, fill)]);
  return Object.fromEntries(modules);
}

/** The kernel that fills a texture. */
export function fillModule(
  spec: FilledSpec,
  { name, dtype, size, loads }: TexelFill,
): WgslModule {
  return join(
    "fill texels",
    packPiece(4),
    TEXELS_PIECE,
    ...loadPieces(dtype, 4, loads),
    storedPiece("k"),
    ...filledRowsPieces(spec, name),
    {
      types: { Factor: "Wide" },
      constants: { HEAD_DIM: size, WORKGROUP: FILL_WORKGROUP },
      fragments: [wgsl.keys.numbers, wgsl.fillTexels],
    },
  );
}

/** Declares which rows of a tensor are brought to its texture. */
function filledRowsPieces(spec: FilledSpec, name: TexelFill["name"]): WgslPiece[] {
  const { contiguous, pages } = wgsl.filledRows;
  if (isOfQueries(name)) return [{ fragments: [wgsl.params, wgsl.lengths.full, contiguous] }];
  if (spec.pages) return [...contextPieces(spec), slotsPiece(spec), { fragments: [pages] }];
  return [{ fragments: [wgsl.params, wgsl.lengths.given, contiguous] }];
}

/** Parameters of a kernel that fills a texture of queries, or of dO. */
export type QueryFillParams = Readonly<
  { kvStride: readonly number[]; numKvHeads: number; capacity: number }
>;

/** The parameters by which a kernel takes rows of queries, or of dO, for the keys of one head. */
export function queryFillParams({ numRows }: FilledSpec): QueryFillParams {
  return { kvStride: [0, 0, 1], numKvHeads: 1, capacity: numRows };
}

/** Lines of the textures, by name. */
export function textureLines(texels: readonly TexelFill[]): Record<string, number> {
  return Object.fromEntries(texels.map(({ name, lines }) => [TEXTURES[name], lines]));
}
