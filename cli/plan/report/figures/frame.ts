/** The frame of every figure of the planner. */
import { CONFIG } from "../../../shared/report/style.ts";
import type { Plan } from "../../plan.ts";

const WIDTH = 620;
const HEIGHT = 300;

/** Title, sizes and style. */
export function frame({ model, device }: Plan, title: string) {
  return {
    title: { text: title, subtitle: `${model.name} on ${device.name}`, offset: 10, fontSize: 16 },
    background: "transparent",
    padding: 8,
    width: WIDTH,
    height: HEIGHT,
    config: CONFIG,
  };
}
