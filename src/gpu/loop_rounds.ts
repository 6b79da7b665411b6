/** The rounds that the loops of an invocation may go. */
import { sentence } from "../base/check.ts";
import { type DeviceProfile, loopRounds } from "./profile.ts";

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
