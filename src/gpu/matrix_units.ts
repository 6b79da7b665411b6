/** Matrix units (tensor cores) of a device: whether they are granted, and what they multiply at once. */
import type { MatrixBlock } from "./profile.ts";

/** The feature of Dawn, and so of Chrome and Node; the types of WebGPU do not have it yet. */
export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/** One of the shapes and types that the adapter lists. */
interface Configuration {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/**
 * The smallest block of f16 with sums in f32, so that the fewest rows are filled up; undefined if the device was granted none,
 * or its subgroups differ in size, as a workgroup is to be one of them.
 */
export function matrixBlockOf(
  { features }: GPUDevice,
  info: GPUAdapterInfo & { subgroupMatrixConfigs?: Iterable<Configuration> },
  subgroupSize: number,
): MatrixBlock | undefined {
  if (!features.has(MATRIX_FEATURE) || !features.has("shader-f16")) return undefined;
  if (info.subgroupMaxSize !== subgroupSize) return undefined;
  return Array.from(info.subgroupMatrixConfigs ?? [])
    .filter(({ componentType, resultComponentType }) =>
      componentType === "f16" && resultComponentType === "f32"
    )
    .map(({ M, N, K }) => ({ m: M, n: N, k: K }))
    .sort((a, b) => a.m - b.m || a.n * a.k - b.n * b.k)[0];
}
