/** What kernels are composed with where the lanes of a group share a sum. */
import { fragments } from "../kernels/mod.ts";
import type { WgslModule } from "./_wgsl.ts";
import type { Gpu } from "./device.ts";

/** What declares `sumOverLanes` for groups of so many lanes, a power of two. */
export function laneSums(gpu: Gpu, lanes: number): Pick<WgslModule, "enables" | "fragments"> {
  if (lanes === 1) return { fragments: [fragments.lanesOne] };
  if (lanes > gpu.profile.subgroupSize) return { fragments: [fragments.lanesMemory] };
  return {
    enables: gpu.dialect.enableSubgroups ? ["subgroups"] : [],
    fragments: [fragments.lanesShuffle],
  };
}
