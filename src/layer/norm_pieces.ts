/** What a norm is in kernels: in its own, and in that of a projection which normalises its input. */
import * as wgsl from "../../kernels/mod.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { renamed, type WgslPiece } from "../gpu/compose.ts";

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

/** Declares `normalised`, and the gain and the bias that it reads. */
export function normalisedPiece({ hasBias, isUniform }: InputNorm): WgslPiece {
  return {
    fragments: [
      wgsl.gain[isUniform ? "uniform" : "storage"],
      wgsl.normBias[hasBias ? "added" : "none"],
      wgsl.normalised.normed,
    ],
  };
}

/** Names in a kernel that normalises rows of IN elements by all lanes of a workgroup, whatever its other lanes do. */
const NAMES: Readonly<Record<string, string>> = {
  ...{ WIDTH: "IN", LANES: "WORKGROUP", HALVINGS: "WORKGROUP_HALVINGS" },
  ...{ sumOverLanes: "sumOverWorkgroup", maxOverLanes: "maxOverWorkgroup" },
  reduced: "reducedInWorkgroup",
};

/** Declares `momentsOf` and `normalised` for the input of a kernel, by all lanes of a workgroup; none leaves it as it is. */
export function inputNormPieces(
  norm: InputNorm | undefined,
  workgroup: number,
  options: { shuffles: boolean },
): WgslPiece[] {
  if (!norm) return [{ fragments: [wgsl.moments.none, wgsl.normalised.none] }];
  const { constants = {}, fragments = [] } = lanesPiece(workgroup, options);
  return [normalisedPiece(norm), {
    constants: Object.fromEntries(
      Object.entries(constants).map(([name, value]) => [NAMES[name], value]),
    ),
    fragments: [...fragments, wgsl.moments[norm.kind]].map((text) => renamed(text, NAMES)),
  }];
}
