/** Random tensors that are made on the GPU and can be computed again on the host, element by element. */
import { type Dtype, type Gpu, Tensor } from "../mod.ts";
import { join } from "../src/gpu/compose.ts";
import { Kernel } from "../src/gpu/kernel.ts";
import { inPass } from "../src/gpu/bound_work.ts";
import * as wgsl from "./kernels/mod.ts";

const WORKGROUP = 256;
const MAX_WORKGROUPS = 4096;

/** A tensor of random numbers in [-1, 1), rounded to its element type. */
export async function randomTensor(
  gpu: Gpu,
  shape: readonly number[],
  { dtype, seed }: { dtype: Dtype; seed: number },
): Promise<Tensor> {
  const types = { T: dtype };
  const module = join("fill", { types, constants: { WORKGROUP }, fragments: [wgsl.fill] });
  const fill = await Kernel.compile(gpu, module);
  const tensor = await Tensor.empty(gpu, shape, { dtype, label: "random" });
  await gpu.guard("fill a random tensor", () => {
    const params = fill.uniform({ count: tensor.length, first: firstOf(seed) });
    const encoder = gpu.device.createCommandEncoder();
    const workgroups = Math.min(MAX_WORKGROUPS, Math.ceil(tensor.length / WORKGROUP));
    const dispatch = fill.bind({ params, x: tensor.buffer }, [workgroups, 1]);
    inPass(encoder, (pass) => dispatch.encode(pass));
    gpu.device.queue.submit([encoder.finish()]);
    params.destroy();
  });
  return tensor;
}

/** `count` elements of the tensor with this seed, from element `first`, in float64. */
export function randomElements(
  first: number,
  count: number,
  { dtype, seed }: { dtype: Dtype; seed: number },
): Float64Array {
  const base = firstOf(seed);
  const elements = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    const value = (hash((base + first + i) >>> 0) >>> 8) / 2 ** 23 - 1;
    elements[i] = dtype === "f16" ? Math.f16round(value) : value;
  }
  return elements;
}

/** Seeds are far apart, so that tensors share no stretch of elements. */
function firstOf(seed: number): number {
  return hash(seed >>> 0);
}

function hash(seed: number): number {
  const state = (Math.imul(seed, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}
