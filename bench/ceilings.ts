import type { Dtype, Gpu, Implementation } from "../mod.ts";
import { measureDecode } from "./decode_ceilings.ts";
import { FirstUses } from "./first_use.ts";
import type { DecodeCeiling, Roofline } from "./result.ts";
import { measureRoofline } from "./roofline.ts";
import type { Effort } from "./stopwatch.ts";

/** The ceilings of decoding to measure beside those of the device. */
export interface CeilingOptions {
  impls: readonly Implementation[];
  dtypes: readonly Dtype[];
  effort: Effort;
}

/** Measures the ceilings of a device, and those of decoding where the device can decode so. */
export async function measureCeilings(
  gpu: Gpu,
  { impls, dtypes, effort }: CeilingOptions,
  firstUses: FirstUses = new FirstUses(),
): Promise<Roofline> {
  const roofline = await measureRoofline(gpu, effort);
  const decode: DecodeCeiling[] = [];
  for (const impl of impls) {
    for (const dtype of dtypes) {
      const measuring = { effort, roofline, firstUses };
      const ceiling = await measureDecode(gpu, { impl, dtype }, measuring);
      if (ceiling) decode.push(ceiling);
    }
  }
  return { ...roofline, decode };
}
