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
