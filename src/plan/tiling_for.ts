/** Which tiling an attention runs with. */
import { sentence } from "../base/check.ts";
import { rowsPerKvHead } from "./plan_base.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { ACTION, type FilledSpec } from "./spec.ts";
import { type Tiling, tilingOf } from "./tiling.ts";

/** The tiling of an attention on a device: the one that was measured for its rows, or that of the device's class. */
export function tilingFor(spec: FilledSpec, profile: DeviceProfile): Tiling {
  const rows = rowsPerKvHead(spec);
  const tuned = spec.tuning?.tilings.findLast(({ leastRows }) => leastRows <= rows);
  if (!tuned) return tilingOf(profile, rows);
  const { sharers } = tuned;
  const { subgroupSize } = profile;
  if (sharers > subgroupSize) {
    throw new RangeError(
      sentence(ACTION, "tuning must be of a device with the same subgroups (tune on this one)", {
        "tuning.adapter": spec.tuning?.adapter,
        sharers,
        subgroupSize,
      }),
    );
  }
  return tuned;
}
