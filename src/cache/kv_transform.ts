/** The transform of keys and values before they are stored as integers: scales of channels, and a rotation. */
import * as wgsl from "../../kernels/mod.ts";
import { sentence } from "../base/check.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import type { KvDtype } from "../tensor/dtype.ts";
import { isQuantized } from "../tensor/quantized.ts";
import type { KvShape } from "./kv_shape.ts";

/** Elements of a row that the workgroup memory of every device holds. */
const MOST_ELEMENTS = 2048;

/** A rotation of stored rows: `"hadamard"` mixes the elements of a block, so that a large one is spread over all of them. */
export type KvRotation = "hadamard";

/** The fields of a cache's specification that say how its rows differ from the keys and values that were appended. */
export interface KvTransform {
  /** Whether each channel has an offset and a scale, which the cache holds. The default is false. */
  kvCalibrated?: boolean;
  /** The rotation of rows. The default is none. */
  kvRotation?: KvRotation;
}

/** A transform, and the rows that it is of. */
type TransformedShape =
  & Pick<KvShape, "numKvHeads" | "headDim" | "valueDim" | "valuesAre">
  & KvTransform;

/** Whether rows are stored in another form than keys and values were appended in. */
export function isTransformed({ kvCalibrated, kvRotation }: KvTransform): boolean {
  return Boolean(kvCalibrated) || kvRotation !== undefined;
}

/**
 * Whether a row has the least number of its grid beside its step, each in 16 bits: in four bits this halves the step where
 * elements are not spread about 0.
 */
export function isAsymmetric(spec: KvTransform & { kvDtype: KvDtype }): boolean {
  return isTransformed(spec) && spec.kvDtype === "int4";
}

/** Throws where rows cannot be transformed as is asked for. */
export function checkTransform(
  action: string,
  spec: TransformedShape & { kvDtype: KvDtype },
): void {
  if (!isTransformed(spec)) return;
  const { kvDtype, kvCalibrated = false, kvRotation, headDim, valueDim, valuesAre } = spec;
  const asked = kvCalibrated ? { kvCalibrated } : { kvRotation };
  if (kvRotation !== undefined && kvRotation !== "hadamard") {
    const rule = 'kvRotation must be "hadamard", or left out';
    throw new TypeError(sentence(action, rule, { kvRotation }));
  }
  if (!isQuantized(kvDtype)) {
    throw new RangeError(
      sentence(action, 'kvCalibration and kvRotation are for kvDtype "int8" and "int4"', {
        ...asked,
        kvDtype,
      }),
    );
  }
  if (Math.max(headDim, valueDim) > MOST_ELEMENTS) {
    const rule = `a row must have at most ${MOST_ELEMENTS} elements to be transformed`;
    throw new RangeError(sentence(action, rule, { ...asked, headDim, valueDim }));
  }
  if (kvRotation === undefined) return;
  for (const [name, size] of Object.entries({ headDim, valueDim })) {
    if (rotationBlock(spec, size) > 1) continue;
    const both = valuesAre === "keys" ? "headDim and valueDim" : name;
    throw new RangeError(
      sentence(action, `a rotation is of blocks of a power of two, which must divide ${both}`, {
        ...{ kvRotation, headDim, valueDim },
      }),
    );
  }
}

/**
 * Elements that are rotated together: the largest power of two that divides the row. Where values are keys, their rows end
 * with a block.
 */
export function rotationBlock(
  { headDim, valueDim, valuesAre, kvRotation }: Omit<TransformedShape, "numKvHeads">,
  size: number,
): number {
  if (kvRotation === undefined) return 1;
  const powerOf = (n: number) => n & -n;
  return valuesAre === "keys" ? Math.min(powerOf(headDim), powerOf(valueDim)) : powerOf(size);
}

/** Declares the channels of keys and of values, and `rotate`, for a kernel with a row in workgroup memory. */
export function transformPieces(spec: TransformedShape): WgslPiece[] {
  const { numKvHeads, headDim, valueDim, valuesAre, kvCalibrated, kvRotation } = spec;
  const table = valuesAre === "keys"
    ? { VALUE_CHANNELS: 0, VALUE_STRIDE: headDim }
    : { VALUE_CHANNELS: numKvHeads * headDim, VALUE_STRIDE: valueDim };
  return [
    kvCalibrated
      ? { constants: { HEAD_DIM: headDim, ...table }, fragments: [wgsl.channels.calibrated] }
      : { fragments: [wgsl.channels.none] },
    { fragments: [kvRotation ? wgsl.rotation.hadamard : wgsl.rotation.none] },
  ];
}
