/** The rows of a table, whoever measures them. */
import type { Adapter, MeasuredVariant } from "../shared/quality/measurer.ts";
import type { Variant } from "../shared/quality/variant.ts";
import { compareScores } from "../shared/score.ts";
import type { Row } from "./result.ts";

/** A table to be measured. */
export interface Table {
  /** The tokens of the text, or their number where the model draws it. */
  text: readonly number[] | number;
  /** The model as it is, and then with one change at a time. */
  variants: readonly Variant[];
}

/** A table that is measured. */
export interface MeasuredTable {
  tokens: readonly number[];
  rows: Row[];
  adapter: Adapter;
}

/** A variant and what it predicts; the first one has no change. */
export function rowsOf(
  measured: readonly { variant: Variant; measured: MeasuredVariant }[],
): Row[] {
  const [{ measured: unchanged }] = measured;
  return measured.map(({ variant, measured: { score, ...rest } }) => ({
    ...{ ...variant, ...rest },
    ...compareScores(score, unchanged.score),
  }));
}

/** A variant in a few words. */
export function titleOf({ kvDtype, transform, window, numKvHeads }: Variant): string {
  const cache = transform ? `${transform} ${kvDtype}` : kvDtype;
  return `${cache}, window ${window ?? "all"}, ${numKvHeads} KV heads`;
}
