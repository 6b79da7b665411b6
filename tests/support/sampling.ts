// The choice of a token in float64, as the sampler's definition says it.
import { GREEDY, type Sampling } from "../../src/model/sampling.ts";
import type { Random } from "./random.ts";

/** The tokens of a sequence before the one that is chosen. */
export interface TokensSoFar {
  prompt: readonly number[];
  generated: readonly number[];
}

/** Borders that f32 may find on the other side: shares, and the number that is drawn, by this much. */
const NEAR = 3e-5;

/** A sampling with as many options as chance has. */
export function randomSampling(random: Random, vocabSize: number): Sampling {
  const some = <Value>(value: Value, none: Value) => random.next() < 0.5 ? value : none;
  const token = () => random.integer(0, vocabSize - 1);
  const biases = Array.from({ length: 4 }, () => [token(), 6 * random.next() - 3] as const);
  return {
    ...GREEDY,
    temperature: some(0.3 + 1.5 * random.next(), 0),
    topK: some(random.integer(1, vocabSize + 2), 0),
    topP: some(0.05 + 0.9 * random.next(), 1),
    minP: some(0.2 * random.next(), 0),
    seed: random.integer(0, 2 ** 32 - 1),
    repetitionPenalty: some(0.5 + random.next(), 1),
    frequencyPenalty: some(6 * random.next() - 3, 0),
    presencePenalty: some(6 * random.next() - 3, 0),
    logitBias: some(new Map(biases), new Map()),
  };
}

/** The logits that a token is chosen by. */
export function adjustedLogits(
  logits: ArrayLike<number>,
  sampling: Sampling,
  { prompt, generated }: TokensSoFar,
): number[] {
  const { repetitionPenalty, frequencyPenalty, presencePenalty, logitBias } = sampling;
  const had = new Set([...prompt, ...generated]);
  return Array.from(logits, (logit, token) => {
    const count = generated.filter((one) => one === token).length;
    const penalised = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    return (had.has(token) ? penalised : logit) - count * frequencyPenalty -
      (count > 0 ? presencePenalty : 0) + (logitBias.get(token) ?? 0);
  });
}

/** The tokens that may be chosen at a position: one, but where numbers lie so near to a border that f32 may cross it. */
export function choicesOf(
  logits: ArrayLike<number>,
  sampling: Sampling,
  tokens: TokensSoFar,
  position: number,
  nearness = NEAR,
): Set<number> {
  const adjusted = adjustedLogits(logits, sampling, tokens);
  const most = Math.max(...adjusted);
  const { temperature } = sampling;
  if (temperature === 0) {
    return new Set(adjusted.flatMap((logit, token) => most - logit < nearness / 30 ? [token] : []));
  }
  const likelihoods = adjusted.map((logit) => Math.exp((logit - most) / temperature));
  const random = randomAt(sampling.seed, position);
  const near = [-nearness, 0, nearness];
  return new Set(
    near.flatMap((forShare) =>
      near.flatMap((forLeast) =>
        near.map((forDraw) =>
          drawn(likelihoods, {
            topK: sampling.topK,
            topP: sampling.topP === 1 ? 1 : sampling.topP + forShare,
            minP: sampling.minP === 0 ? 0 : sampling.minP * (1 + forLeast),
            random: random + forDraw,
          })
        )
      )
    ),
  );
}

/** Draws in the order of the tokens, from those that are likely enough. */
function drawn(
  likelihoods: readonly number[],
  { topK, topP, minP, random }: { topK: number; topP: number; minP: number; random: number },
): number {
  const sorted = [...likelihoods].sort((a, b) => b - a);
  const atK = topK === 0 ? 0 : sorted[Math.min(topK, sorted.length) - 1];
  const first = sorted.filter((p) => p >= atK);
  const enough = topP * first.reduce((sum, p) => sum + p, 0);
  let [sum, i] = [first[0], 0];
  while (sum < enough && i < first.length - 1) sum += first[++i];
  const bound = Math.max(first[i], minP);
  const kept = likelihoods.map((p) => p >= bound ? p : 0);
  const point = random * kept.reduce((sum, p) => sum + p, 0);
  let below = 0;
  let token = -1;
  kept.forEach((p, i) => {
    if (p > 0 && (below <= point || token < 0)) token = i;
    below += p;
  });
  return token;
}

/** The number in [0, 1) that a seed has at a position. */
function randomAt(seed: number, position: number): number {
  return (hash((seed ^ hash(position)) >>> 0) >>> 8) / 2 ** 24;
}

function hash(x: number): number {
  const state = (Math.imul(x, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}
