import { sentence } from "../base/check.ts";
import { GpuWorkError } from "../base/errors.ts";

/** Throws where a chosen token is none, as the sampler has it where a logit is not a number. */
export function checkChosen(
  action: string,
  tokens: readonly number[],
  { first, vocabSize }: { first: number; vocabSize: number },
): void {
  const bad = tokens.findIndex((token) => token >= vocabSize);
  if (bad < 0) return;
  const position = first + bad;
  throw new GpuWorkError(
    sentence(action, "a logit is not a number (check the weights)", { position }),
  );
}
