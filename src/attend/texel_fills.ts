/** Bringing queries, keys, values and dO to textures: kernels, their parameters, and the names by which they bind. */
import * as wgsl from "../../kernels/mod.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { FILL_KERNELS, type FillKernel } from "../plan/dispatches.ts";
import type { FilledSpec } from "../plan/spec.ts";
import { FILL_WORKGROUP, isOfQueries, type TexelFill } from "../plan/texels.ts";
import { loadPieces, packPiece } from "../tensor/pieces.ts";
import { storedPiece, TEXELS_PIECE } from "./pieces.ts";

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
  texels: readonly TexelFill[],
): Partial<Record<FillKernel, WgslModule>> {
  const modules = texels.map((fill) => [FILL_KERNELS[fill.name], fillModule(fill)]);
  return Object.fromEntries(modules);
}

/** The kernel that fills a texture. */
export function fillModule({ name, dtype, size, loads }: TexelFill): WgslModule {
  return join(
    `fill texels of ${name}`,
    packPiece(4),
    TEXELS_PIECE,
    ...loadPieces(dtype, 4, loads),
    storedPiece("k"),
    {
      types: { Factor: "Wide" },
      constants: { HEAD_DIM: size, WORKGROUP: FILL_WORKGROUP },
      fragments: [
        wgsl.params,
        wgsl.lengths[isOfQueries(name) ? "full" : "given"],
        wgsl.keys.numbers,
        wgsl.fillTexels,
      ],
    },
  );
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
