/** Asking a system for the gradients of one attention, and what came of it. */
import { DeviceLostError } from "../../mod.ts";
import { type Attempt, failureBy } from "../peers/attempt.ts";
import type { Peer } from "../peers/peer.ts";
import { type GradientCase, type PreparedGradient, randomInputs } from "./system.ts";
import { errorOf, expectedGradients, TOLERANCE } from "./verify.ts";

/**
 * Prepares and runs a system once, and compares its gradients with those of the float64 reference.
 *
 * @returns What came of it; where that is right, the caller's to destroy.
 */
export async function attemptGradient(
  { prepareGradient }: Pick<Peer, "prepareGradient">,
  gradientCase: GradientCase,
): Promise<Attempt<PreparedGradient>> {
  const inputs = randomInputs(gradientCase);
  let prepared: PreparedGradient | undefined;
  try {
    prepared = await prepareGradient(gradientCase, inputs);
    await prepared.run(1);
    const expected = expectedGradients(gradientCase, inputs);
    const error = errorOf(inputs, await prepared.gradients(), expected);
    if (error <= TOLERANCE) return { verdict: "right", error, prepared };
    await prepared.destroy();
    return { verdict: "wrong", error };
  } catch (error) {
    if (error instanceof DeviceLostError) throw error;
    await prepared?.destroy();
    return failureBy(error);
  }
}
