import type { Gpu } from "../mod.ts";
import type { AdapterInfo } from "./result.ts";

/** The device, as reports have it. */
export function adapterOf(gpu: Gpu): AdapterInfo {
  const { description, isSoftware } = gpu.description;
  return { description, features: [...gpu.device.features].sort(), isSoftware };
}
