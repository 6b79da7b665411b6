/** Compiled kernels of a device by their source: the same for whoever asks, for as long as it is kept. */
import { once } from "../base/once.ts";

/** Kernels that are kept at once. One takes up to 10 MB on a software adapter; those in use live on with their users. */
const MOST = 64;

const known = new WeakMap<GPUDevice, Map<string, Promise<unknown>>>();

/** The kernel of a source: compiled where it is not kept; one that fails is not kept. */
export function keptKernel<Kernel>(
  device: GPUDevice,
  code: string,
  compile: () => Promise<Kernel>,
): Promise<Kernel> {
  let kernels = known.get(device) as Map<string, Promise<Kernel>> | undefined;
  if (!kernels) known.set(device, kernels = new Map());
  const kernel = once(kernels, code, compile);
  // The map's order is that of use.
  kernels.delete(code);
  kernels.set(code, kernel);
  if (kernels.size > MOST) kernels.delete(kernels.keys().next().value!);
  return kernel;
}

/** Keeps none any longer. */
export function forgetKernels(device: GPUDevice): void {
  known.delete(device);
}
