import { formatPage } from "../../shared/report/page.ts";
import type { Plan } from "../plan.ts";
import { headOf, sectionsOf } from "./sections.ts";

/** Writes a plan as a page. */
export function formatHtml(plan: Plan): Promise<string> {
  return formatPage({
    title: `${plan.model.name} on ${plan.device.name}: what MHA, GQA and MQA cost`,
    head: headOf(plan),
    sections: sectionsOf(plan),
    notes: ["* as trained", ...plan.notes],
  });
}
