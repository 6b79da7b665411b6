import { formatPage } from "../../cli/shared/report/page.ts";
import type { Section } from "../../cli/shared/report/section.ts";
import { speedsSpec, whereSpec } from "./chart_spec.ts";
import type { ModelResult, ModelsReport } from "./result.ts";
import {
  columnsOf,
  groupsOf,
  headOf,
  kernelColumnsOf,
  titleOf,
  untimedOf,
  workColumnsOf,
} from "./table.ts";

/** Writes a run of models as a page. */
export function formatHtml(report: ModelsReport): Promise<string> {
  return formatPage({
    title: `Whole models on ${report.adapter.description}`,
    head: headOf(report),
    sections: groupsOf(report.rows).flatMap((rows, i) => sectionsOf(rows, `group-${i + 1}`)),
    notes: [
      "first token: from prompts to the first new token of each; prefill: tokens of all prompts over that time.",
      "decode: new tokens of all sequences but the first ones, over their time.",
      "x ours: how many times longer than this library, the median over rounds; below 1 the other is faster.",
      "in kernels: by timestamps of the GPU, in rounds of their own in which each dispatch has a pass of its own.",
    ],
  });
}

/** A model and number of sequences: the figures of systems, then where their time goes. */
function sectionsOf(rows: readonly ModelResult[], id: string): Section[] {
  const speeds = {
    id,
    title: titleOf(rows[0]),
    text: "Tokens a second, memory and the time until the first token.",
    columns: columnsOf(rows),
    figure: speedsSpec(rows),
  };
  const work = workColumnsOf(rows);
  if (work[0].cells.length === 0) return [speeds];
  const where = {
    id: `${id}-where`,
    title: "Where the time goes",
    text: [
      "The work that GPUs were given, and the part of the time that is in kernels.",
      ...untimedOf(rows),
    ].join(" "),
    columns: work,
    figure: whereSpec(rows),
  };
  const kernels = kernelColumnsOf(rows);
  if (kernels[0].cells.length === 0) return [speeds, where];
  return [speeds, where, {
    id: `${id}-kernels`,
    title: "Kernels",
    text: "Those that take the longest in one more token, and all others together.",
    columns: kernels,
  }];
}
