/** What a norm is in kernels: in its own, and in that of a projection which normalises its input. */
import * as wgsl from "../../kernels/mod.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { canBeUniform } from "../gpu/usage.ts";
import type { WgslPiece } from "../gpu/compose.ts";

/** A norm as kernels know it. */
export interface NormShape {
  /** By their root mean square, or by mean and deviation. */
  kind: "rms" | "layer";
  hasBias: boolean;
}

/** The norm of a kernel's input. */
export interface InputNorm extends NormShape {
  /**
   * Whether the gain is bound as a uniform, or as storage. The bias is storage: Mesa's lavapipe 22.3 crashes in a kernel that
   * has it as a fourth uniform, beside parameters, weights and gain, and four buffers as storage.
   */
  isUniform: boolean;
}

/** Times that a kernel goes through a row for its moments. */
export const MOMENT_LOOPS = { rms: 1, layer: 2 };

/** Whether a kernel binds a gain as a uniform: where loads from storage are dear and one binding holds it. */
export function bindsGainAsUniform(
  { isSoftware }: DeviceProfile,
  gain: GPUBuffer,
  { pack, maxBytes }: { pack: 1 | 4; maxBytes: number },
): boolean {
  return isSoftware && pack === 4 && gain.size <= maxBytes && canBeUniform(gain);
}

/** Where the packs of a row are that its lanes go through several times: in storage, or in registers of the lanes. */
export type RowPacks = "storage" | "held";

/** Declares `momentsOf`, and the packs of a row that it goes through. */
export function momentsPiece(kind: NormShape["kind"], packs: RowPacks): WgslPiece {
  return { fragments: [wgsl.rowPacks[packs], wgsl.moments[kind]] };
}

/** Declares `normalised`, and the gain and the bias that it reads. */
export function normalisedPiece(norm: InputNorm): WgslPiece {
  return { fragments: [...weightFragments(norm), wgsl.normalised] };
}

function weightFragments({ hasBias, isUniform }: InputNorm): string[] {
  return [
    wgsl.gain[isUniform ? "uniform" : "storage"],
    wgsl.normBias[hasBias ? "added" : "none"],
  ];
}

/** Declares how the input of a kernel is normalised beside its products; none leaves it as it is. */
export function inputNormPiece(norm: InputNorm | undefined): WgslPiece {
  if (!norm) return { constants: { NORM_VECTORS: 0 }, fragments: [wgsl.inputNorm.none] };
  const BIAS_VECTORS = norm.hasBias ? 1 : 0;
  const NORM_VECTORS = normVectors(norm);
  return {
    constants: { BIAS_VECTORS, NORM_VECTORS },
    fragments: [...weightFragments(norm), wgsl.inputNorm[norm.kind]],
  };
}

/** Vectors of a norm that the rows of a matrix multiply: its gain, where a mean is taken away, and its bias. */
export function normVectors({ kind, hasBias }: NormShape): number {
  return (kind === "layer" ? 1 : 0) + (hasBias ? 1 : 0);
}
