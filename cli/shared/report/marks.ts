/** Colours, points and dashes by which marks of a figure differ. */
import type { CacheVariant } from "../variant.ts";
import { GREY, STYLES } from "./style.ts";

/** The first is solid. */
const DASHES = [[1, 0], [7, 4], [2, 2], [9, 3, 2, 3], [14, 4], [2, 6]];

/** Colour and point by the field `variant`, which holds a label of these. */
export function variantMarks(variants: readonly { label: string; variant: CacheVariant }[]) {
  const field = { field: "variant", type: "nominal" as const };
  const domain = variants.map(({ label }) => label);
  const styles = variants.map(({ variant }) => STYLES[variant]);
  return {
    color: { ...field, scale: { domain, range: styles.map(({ color }) => color) } },
    shape: { ...field, scale: { domain, range: styles.map(({ shape }) => shape) } },
  };
}

/** Dashes by a field, with a legend where it has several values. */
export function dashesBy(field: string, values: readonly string[]) {
  return {
    field,
    type: "nominal" as const,
    scale: { domain: [...values], range: values.map((_, i) => DASHES[i % DASHES.length]) },
    legend: values.length === 1
      ? null
      : { symbolType: "stroke", symbolSize: 500, symbolStrokeColor: GREY },
  };
}
