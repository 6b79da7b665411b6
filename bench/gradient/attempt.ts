/** Asking a system for the gradients of one attention, and what came of it. */
import { type Attempt, attemptBy } from "../peers/attempt.ts";
import type { Peer } from "../peers/peer.ts";
import { type GradientCase, type PreparedGradient, randomInputs } from "./system.ts";
import { errorOf, expectedGradients, TOLERANCE } from "./verify.ts";

/**
 * Prepares and runs a system once, and compares its gradients with those of the float64 reference.
 *
 * @returns What came of it; where that is right, the caller's to destroy.
 */
export function attemptGradient(
  { prepareGradient }: Pick<Peer, "prepareGradient">,
  gradientCase: GradientCase,
): Promise<Attempt<PreparedGradient>> {
  const inputs = randomInputs(gradientCase);
  return attemptBy(() => prepareGradient(gradientCase, inputs), async (prepared) => {
    const expected = expectedGradients(gradientCase, inputs);
    const error = errorOf(inputs, await prepared.gradients(), expected);
    return { error, tolerance: TOLERANCE };
  });
}
