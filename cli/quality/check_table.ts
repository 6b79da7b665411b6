/** What workers would refuse of a table, or could not send, checked before any of it is measured. */
import { sentence } from "../../src/base/check.ts";
import { MOST_CALIBRATION, rowBytes } from "../shared/cluster/quality_jobs.ts";
import type { Model } from "../shared/model_files.ts";
import { checkDraws, type DrawSettings } from "../shared/quality/measurer.ts";
import type { Table } from "./table_rows.ts";

/**
 * Checks a table.
 *
 * @param most Bytes that a message holds.
 * @throws {RangeError} If the model must draw texts and cannot, or would have to draw too many tokens, or if a row fits no message.
 */
export function checkTable(
  { checkpoint, tokenizer }: {
    checkpoint: { spec: Pick<Model["checkpoint"]["spec"], "vocabSize"> };
    tokenizer: Parameters<typeof checkDraws>[0];
  },
  { text, variants }: Table,
  { calibration }: Pick<DrawSettings, "calibration">,
  most: number,
): void {
  const isDrawn = typeof text === "number";
  if (isDrawn || variants.some(({ pool }) => pool === "merged")) checkDraws(tokenizer);
  const refuse = (rule: string, values: Record<string, unknown>) => {
    throw new RangeError(sentence("measure quality by workers", rule, values));
  };
  if (calibration > MOST_CALIBRATION) {
    refuse("--calibration must be what workers draw", { calibration, most: MOST_CALIBRATION });
  }
  const tokens = isDrawn ? text : text.length;
  const bytes = rowBytes(tokens, checkpoint.spec.vocabSize);
  if (bytes > most) {
    refuse("a row of the text must fit a message (give fewer --tokens)", { tokens, bytes, most });
  }
}
