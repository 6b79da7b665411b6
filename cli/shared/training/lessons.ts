import { seedFrom, uniform } from "../../../src/base/random.ts";

/**
 * The texts of a step: each text once before any comes again, in another order every time. They depend on the seed and the step
 * alone, so that training goes on from a saved state with the texts that it would have had.
 */
export function lessonsOf<Text>(
  texts: readonly Text[],
  { batch, seed }: { batch: number; seed: number },
  step: number,
): Text[] {
  const orders = new Map<number, number[]>();
  return Array.from({ length: batch }, (_, i) => {
    const index = step * batch + i;
    const round = Math.floor(index / texts.length);
    const order = orders.get(round) ?? shuffled(texts.length, seedFrom(`${seed} ${round}`));
    orders.set(round, order);
    return texts[order[index % texts.length]];
  });
}

/** The numbers below `count` in a random order (Fisher and Yates). */
function shuffled(count: number, seed: number): number[] {
  const order = Array.from({ length: count }, (_, i) => i);
  const next = uniform(seed);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(next() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}
