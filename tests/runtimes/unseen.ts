/** What a row does not see must not reach it, not even where products of other rows take it in. */
import { type Arithmetic, attend, type Gpu, type HostTensor } from "@onehead/attention";
import type { Random } from "../support/random.ts";
import { difference } from "./difference.ts";

/** A prompt whose last token only the last queries see. */
export interface UnseenCase {
  name: string;
  arithmetic: Arithmetic;
}

export const UNSEEN: readonly UnseenCase[] = [
  { name: "matrix units: what a row does not see", arithmetic: "matrix" },
];

const [HEADS, TOKENS, SIZE] = [2, 4, 16];

/**
 * The largest change of outputs that do not see the last key and value, as one of these becomes infinite, NaN or too large
 * for f16; NaN where outputs that do see the value do not show it.
 */
export async function unseenError(
  gpu: Gpu,
  { arithmetic }: UnseenCase,
  random: Random,
): Promise<number> {
  const [q, k, v] = [HEADS, 1, 1].map((heads) => random.tensor([1, TOKENS, heads, SIZE]));
  const outputs = async (k: HostTensor, v: HostTensor) => {
    const { o } = await attend(gpu, { q, k, v }, { arithmetic, impl: "fused" });
    const seeing = (TOKENS - 1) * HEADS * SIZE;
    return { others: o.data.slice(0, seeing), last: o.data.slice(seeing) };
  };
  const { others } = await outputs(k, v);
  let worst = 0;
  for (const value of [Infinity, NaN, 1e30]) {
    for (const [changedK, changedV] of [[k, endingIn(v, value)], [endingIn(k, value), v]]) {
      const changed = await outputs(changedK, changedV);
      const isShown = changedV === v || changed.last.every((x) => !(Math.abs(x) < 1e20));
      const change = difference(changed.others, Float64Array.from(others));
      worst = Math.max(worst, isShown ? change : NaN);
    }
  }
  return worst;
}

/** With the last token's numbers replaced. */
function endingIn({ data, shape }: HostTensor, value: number): HostTensor {
  return { data: Float32Array.from(data).fill(value, (TOKENS - 1) * SIZE), shape };
}
