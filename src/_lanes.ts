/** The lanes that share the work of a row: what kernels are composed with to share a sum, and how far a lane can go. */
import { fragments } from "../kernels/mod.ts";
import { sentence } from "./_check.ts";
import type { WgslModule } from "./_wgsl.ts";
import type { Gpu } from "./device.ts";
import { type DeviceProfile, loopRounds } from "./profile.ts";

/** What declares `sumOverLanes` for groups of so many lanes, a power of two. */
export function laneSums(
  gpu: Gpu,
  lanes: number,
): Pick<WgslModule, "enables" | "constants" | "fragments"> {
  const constants = { HALVINGS: Math.log2(lanes) };
  if (lanes === 1) return { constants, fragments: [fragments.lanesOne] };
  if (lanes > gpu.profile.subgroupSize) return { constants, fragments: [fragments.lanesMemory] };
  return {
    enables: gpu.dialect.enableSubgroups ? ["subgroups"] : [],
    constants,
    fragments: [fragments.lanesShuffle],
  };
}

/** Throws where the loops of a lane would go round more often than the device does, `sizes` being why. */
export function checkRounds(
  profile: DeviceProfile,
  action: string,
  rounds: number,
  sizes: Record<string, number>,
): void {
  const most = loopRounds(profile);
  if (rounds <= most) return;
  throw new RangeError(
    sentence(
      action,
      "loops of a kernel must end before the software driver ends them (use a GPU)",
      {
        ...sizes,
        ...{ rounds, most },
      },
    ),
  );
}
