/** The rows of a table, measured on this machine's GPU. */
import { Gpu } from "../../mod.ts";
import type { Model } from "../shared/model_files.ts";
import { Measurer } from "../shared/quality/measurer.ts";
import type { Variant } from "../shared/quality/variant.ts";
import type { Out } from "../shared/run.ts";
import type { QualityOptions } from "./options.ts";
import { type MeasuredTable, rowsOf, type Table, titleOf } from "./table_rows.ts";

/** Measures every row. */
export async function measureHere(
  model: Model,
  { text, variants }: Table,
  settings: Pick<QualityOptions, "seed" | "calibration">,
  out: Out,
): Promise<MeasuredTable> {
  const gpu = await Gpu.open();
  try {
    const measurer = new Measurer(gpu, model, settings, out);
    const isPossible = (variant: Variant) => measurer.canMeasure(variant);
    if (!variants.every(isPossible)) out.error("f16 is left out: this adapter lacks it");
    const possible = variants.filter(isPossible);
    const tokens = typeof text === "number" ? await measurer.drawText(text) : text;
    for (const variant of possible) await measurer.prepare(variant);
    const measured = [];
    using progress = out.progress(possible.length);
    for (const variant of possible) {
      progress.step(titleOf(variant));
      measured.push({ variant, measured: await measurer.measure(variant, tokens) });
    }
    return { tokens, rows: rowsOf(measured), adapter: measurer.adapter };
  } finally {
    gpu.destroy();
  }
}
