import { checkInteger, checkObject } from "../base/check.ts";

/**
 * The limits of a device that planning asks for; a `GPUDevice.limits` is one. Without the number of storage buffers it is the
 * one that WebGPU guarantees, 8; without the lines of a texture it is the one of compatibility mode, 4096.
 */
export type PlanLimits =
  & Pick<
    GPUSupportedLimits,
    | "maxStorageBufferBindingSize"
    | "maxComputeInvocationsPerWorkgroup"
    | "maxComputeWorkgroupStorageSize"
    | "maxComputeWorkgroupsPerDimension"
  >
  & Partial<Pick<GPUSupportedLimits, "maxStorageBuffersPerShaderStage" | "maxTextureDimension2D">>;

const ASKED = [
  ...["maxStorageBufferBindingSize", "maxComputeInvocationsPerWorkgroup"] as const,
  ...["maxComputeWorkgroupStorageSize", "maxComputeWorkgroupsPerDimension"] as const,
];
const ASKED_IF_KNOWN = ["maxStorageBuffersPerShaderStage", "maxTextureDimension2D"] as const;

/** Throws unless limits are numbers of what a device has. */
export function checkLimits(action: string, limits: PlanLimits): void {
  checkObject(action, "limits", limits);
  for (const name of ASKED) checkInteger(action, `limits.${name}`, limits[name]);
  for (const name of ASKED_IF_KNOWN) {
    if (limits[name] !== undefined) checkInteger(action, `limits.${name}`, limits[name]);
  }
}
