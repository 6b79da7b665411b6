import { checkInteger, sentence } from "../base/check.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { type Tiling, tilingOf } from "./tiling.ts";

/** Tile sizes that were measured on a device (`deno run bench tune`), for planning on that device. */
export interface Tuning {
  /** Version of this format: 3. */
  schema: number;
  /** The adapter that was measured, for people. */
  adapter: string;
  /**
   * Tilings by rows that read the same KV head (query heads of its group x new tokens): each serves from its `leastRows` up
   * to the next one's. Below the first, the defaults of the device's class serve.
   */
  tilings: readonly ({ leastRows: number } & Tiling)[];
}

/** The tiling for `rows` rows that read the same KV head: the one that was measured, or that of the device's class. */
export function tilingFor(
  action: string,
  tuning: Tuning | undefined,
  rows: number,
  profile: DeviceProfile,
): Tiling {
  const tuned = tuning?.tilings.findLast(({ leastRows }) => leastRows <= rows);
  if (!tuned) return tilingOf(profile, rows);
  const { sharers } = tuned;
  const { subgroupSize } = profile;
  if (sharers > subgroupSize) {
    throw new RangeError(
      sentence(action, "tuning must be of a device with the same subgroups (tune on this one)", {
        "tuning.adapter": tuning?.adapter,
        sharers,
        subgroupSize,
      }),
    );
  }
  return tuned;
}

/** Bounds of each size: kernels compile in reasonable time within them, and no device exceeds them. */
const BOUNDS: Readonly<Record<keyof Tiling, readonly [min: number, max: number]>> = {
  maxRows: [1, 32],
  maxRowGroups: [1, 16],
  keys: [1, 16],
  maxPairs: [1, 512],
  lanes: [2, 256],
  workgroup: [2, 1024],
  sharers: [0, 128],
  partners: [1, 32],
  keyChunk: [0, 16],
  columns: [1, 16],
  fillingWorkgroups: [1, 65535],
};
/** Sizes by which invocations are halved or divided; 0 sharers are none. */
const POWERS_OF_TWO: readonly (keyof Tiling)[] = [
  "maxRowGroups",
  "lanes",
  "workgroup",
  "sharers",
  "partners",
  "keyChunk",
  "columns",
];

/**
 * Copies and checks a tuning, as it may come from a file.
 *
 * @throws {TypeError} If a value is missing or of the wrong kind.
 * @throws {RangeError} If a value is out of range, or rows do not ascend.
 */
export function copyTuning(action: string, tuning: Tuning): Tuning {
  const { schema, adapter, tilings: given } = tuning ?? {};
  if (schema !== 3) {
    throw new TypeError(
      sentence(action, "tuning must be of schema 3 (tune again)", { "tuning.schema": schema }),
    );
  }
  if (typeof adapter !== "string" || !Array.isArray(given)) {
    throw new TypeError(
      sentence(action, "tuning must name its adapter and list its tilings (tune again)", {
        "tuning.adapter": adapter,
        "tuning.tilings": given,
      }),
    );
  }
  const tilings: Tuning["tilings"] = given.map((tiling) => ({ ...tiling }));
  let least = 0;
  for (const [i, tiling] of tilings.entries()) {
    const name = `tuning.tilings[${i}]`;
    checkInteger(action, `${name}.leastRows`, tiling.leastRows, least + 1);
    least = tiling.leastRows;
    for (const key of Object.keys(BOUNDS) as (keyof Tiling)[]) {
      checkSize(action, `${name}.${key}`, tiling[key], key);
    }
    const { sharers, maxRowGroups, partners } = tiling;
    if (sharers > 0 && (maxRowGroups > 1 || partners > 1)) {
      throw new RangeError(
        sentence(action, `${name}.sharers must be 0 where there are row groups or partners`, {
          ...{ sharers, maxRowGroups, partners },
        }),
      );
    }
  }
  return { schema, adapter, tilings };
}

function checkSize(action: string, name: string, value: unknown, key: keyof Tiling): void {
  const [min, max] = BOUNDS[key];
  checkInteger(action, name, value, min);
  const size = value as number;
  if (size > max) {
    throw new RangeError(sentence(action, `${name} must be at most ${max}`, { [name]: size }));
  }
  if (POWERS_OF_TWO.includes(key) && size > 0 && !Number.isInteger(Math.log2(size))) {
    throw new RangeError(sentence(action, `${name} must be a power of two`, { [name]: size }));
  }
}
