/** Pieces of kernels that read and write rows of each element type. */
import * as wgsl from "../../kernels/mod.ts";
import { BITS, isQuantized, type QuantizedDtype, quantizedWords } from "./quantized.ts";
import { loadPacks, type Loads } from "./loads.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import type { Dtype, KvDtype } from "./dtype.ts";

/** The WGSL type that rows are made of. */
export function storedType(dtype: KvDtype): string {
  return isQuantized(dtype) ? "u32" : dtype;
}

/** Elements of that type in a row. */
export function storedElements(size: number, dtype: KvDtype): number {
  return isQuantized(dtype) ? quantizedWords(size, dtype) : size;
}

/** The WGSL type of a pack: as many elements as are computed with at once. */
export function packType(dtype: Dtype, packSize: 1 | 4): string {
  return packSize === 4 ? `vec4<${dtype}>` : dtype;
}

/** Declares `Wide`, a pack of f32, and what packs are computed with. */
export function packPiece(packSize: 1 | 4): WgslPiece {
  return { fragments: [packSize === 4 ? wgsl.pack.vec4 : wgsl.pack.scalar] };
}

/** Declares `StoredPack`, a pack of f32 as a tensor holds it, beside `Wide`, as {@linkcode packPiece} does. */
export function storedPackPiece(packSize: 1 | 4, { longLoads }: { longLoads: boolean }): WgslPiece {
  const { same, u64 } = wgsl.storedPack;
  const { fragments = [] } = packPiece(packSize);
  return { fragments: [...fragments, longLoads && packSize === 4 ? u64 : same] };
}

/** Declares `Stored`, what a load brings, and what takes it apart: `numbersOf`, or `integersOf` where rows are quantized. */
export function loadPieces(
  dtype: KvDtype,
  packSize: 1 | 4,
  loads: Loads,
  isAsymmetric = false,
): WgslPiece[] {
  const constants = { LOAD_PACKS: loadPacks(loads) };
  if (isQuantized(dtype)) {
    const isWords = loads === "words";
    return [...quantizedPieces(dtype, isAsymmetric, isWords ? "u64" : "u32"), {
      constants,
      fragments: [isWords ? wgsl.quantizedPack.ofWords : wgsl.quantizedPack.ofWord],
    }];
  }
  if (loads === "packs") {
    const types = { Stored: packType(dtype, packSize) };
    return [{ types, constants, fragments: [wgsl.numbers.packs] }];
  }
  return [{ ...pairs(dtype, loads), constants }];
}

/** Two packs of numbers as integers of 32 or of 64 bits. */
function pairs(dtype: Dtype, loads: Loads): WgslPiece {
  if (dtype === "f32") return { types: { Stored: "vec4<u64>" }, fragments: [wgsl.numbers.f32U64] };
  return loads === "u32"
    ? { types: { Stored: "vec4u" }, fragments: [wgsl.numbers.f16U32] }
    : { types: { Stored: "vec2<u64>" }, fragments: [wgsl.numbers.f16U64] };
}

/** Declares how rows of integers are kept, in words of a `Stored`: by a step, or by a step and the least number of a grid. */
export function quantizedPieces(
  dtype: QuantizedDtype,
  isAsymmetric = false,
  stored = storedType(dtype),
): WgslPiece[] {
  return [{
    types: { Stored: stored },
    constants: { BITS: BITS[dtype] },
    fragments: [isAsymmetric ? wgsl.quantizedRow.asymmetric : wgsl.quantizedRow.symmetric],
  }];
}

/**
 * Declares a matrix `w` [OUT, size], and reads it by `matrixAt`, the packs of a load at a time; numbers may be bound as a uniform
 * of PART_ROWS rows.
 */
export function weightPieces(
  dtype: KvDtype,
  size: number,
  packSize: 1 | 4,
  loads: Loads,
  { isUniform = false }: { isUniform?: boolean } = {},
): WgslPiece[] {
  const { quantized, uniform, numbers } = wgsl.weightMatrix;
  const matrix = isQuantized(dtype) ? quantized : isUniform ? uniform : numbers;
  return [...loadPieces(dtype, packSize, loads), {
    constants: { IN: size },
    fragments: [matrix],
  }];
}
