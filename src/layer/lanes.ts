/** The lanes that share the work of a row: what kernels are composed with to share a sum, and how far a lane can go. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";

/** What declares `sumOverLanes` for groups of so many lanes, a power of two. */
export function laneSums(
  gpu: Gpu,
  lanes: number,
): Pick<WgslModule, "enables" | "constants" | "fragments"> {
  const constants = { HALVINGS: Math.log2(lanes) };
  if (lanes === 1) return { constants, fragments: [wgsl.lanesOne] };
  if (lanes > gpu.profile.subgroupSize) return { constants, fragments: [wgsl.lanesMemory] };
  return {
    enables: gpu.dialect.enableSubgroups ? ["subgroups"] : [],
    constants,
    fragments: [wgsl.lanesShuffle],
  };
}
