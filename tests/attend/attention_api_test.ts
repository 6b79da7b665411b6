// What Attention promises beyond numbers: one compile per shape, no submits, refusals that say what is wrong.
import { assert, assertEquals, assertNotEquals, assertRejects, assertThrows } from "@std/assert";
import {
  Attention,
  type AttentionSpec,
  type AttentionTensors,
  Gpu,
  GpuWorkError,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { buffersOf, withRefusedBuffers } from "../support/buffers.ts";
import { countCalls } from "../support/calls.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { submit, Tensors } from "../support/run.ts";

const SPEC: AttentionSpec = { numHeads: 4, numKvHeads: 2, headDim: 8, seqLen: 3, capacity: 5 };
const SHAPES = { q: [1, 3, 4, 8], k: [1, 5, 2, 8], v: [1, 5, 2, 8], o: [1, 3, 4, 8] };

const COMPILING = [
  "createShaderModule",
  "createComputePipeline",
  "createComputePipelineAsync",
] as const;
const NOTHING = { createShaderModule: 0, createComputePipeline: 0, createComputePipelineAsync: 0 };

/** q, k, v and o of SPEC. */
async function tensorsOf(tensors: Tensors): Promise<Record<"q" | "k" | "v" | "o", Tensor>> {
  const gpu = await sharedGpu();
  const empty = async (shape: number[]) => tensors.keep(await Tensor.empty(gpu, shape));
  return {
    q: await empty(SHAPES.q),
    k: await empty(SHAPES.k),
    v: await empty(SHAPES.v),
    o: await empty(SHAPES.o),
  };
}

Deno.test("attention: the second of a shape compiles nothing", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const create = async (spec: AttentionSpec) => {
    tensors.keep(await Attention.create(gpu, spec));
  };
  const compiled = (spec: AttentionSpec) => countCalls(gpu.device, COMPILING, () => create(spec));
  // A size of its own, so that no other test has compiled it.
  const first = await compiled({ ...SPEC, headDim: 24 });
  assertNotEquals(first, NOTHING);
  assertEquals(await compiled({ ...SPEC, headDim: 24 }), NOTHING);
  // These are parameters of the kernels, not part of their text.
  const others = { batch: 2, causal: false, scale: 2, layout: "BNSH" } as const;
  assertEquals(await compiled({ ...SPEC, headDim: 24, ...others }), NOTHING);
});

Deno.test("attention: shapes asked for at once are compiled once", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const spec = { ...SPEC, headDim: 28 };
  const counts = await countCalls(gpu.device, COMPILING, async () => {
    const three = await Promise.all([1, 2, 3].map(() => Attention.create(gpu, spec)));
    for (const attention of three) tensors.keep(attention);
  });
  assert(counts.createComputePipelineAsync <= 3, `${counts.createComputePipelineAsync} compiles`);
});

Deno.test("attention and ring: encoding neither submits nor writes nor allocates", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  using tensors = new Tensors();
  const { q, o } = await tensorsOf(tensors);
  const options = { numKvHeads: 2, headDim: 8, capacity: 5 };
  const cache = tensors.keep(await RingKvCache.create(gpu, options));
  const attention = tensors.keep(
    await Attention.create(gpu, { ...cache.spec, numHeads: 4, seqLen: 3 }),
  );
  const k = tensors.keep(await Tensor.empty(gpu, [1, 1, 2, 8]));
  const encoder = device.createCommandEncoder();
  cache.append(encoder, { k, v: k });
  const queueCalls = ["submit", "writeBuffer", "onSubmittedWorkDone"] as const;
  const calls = await countCalls(device.queue, queueCalls, async () => {
    const allocated = await countCalls(device, ["createBuffer", "createCommandEncoder"], () => {
      cache.append(encoder, { k, v: k });
      attention.encode(encoder, { q, cache, o });
    });
    assertEquals(allocated, { createBuffer: 0, createCommandEncoder: 0 });
  });
  assertEquals(calls, { submit: 0, writeBuffer: 0, onSubmittedWorkDone: 0 });
  device.queue.submit([encoder.finish()]);
});

Deno.test("attention: destroy frees every buffer", async () => {
  const gpu = await sharedGpu();
  for (const outputs of [[], ["scores"], ["weights"]] as const) {
    const { made, alive } = await buffersOf(async () => {
      (await Attention.create(gpu, { ...SPEC, outputs, maxScratchBytes: 100 })).destroy();
    });
    assertNotEquals(made, []);
    assertEquals(alive, []);
  }
});

Deno.test("attention: a device that refuses the memory is heard", async () => {
  const gpu = await sharedGpu();
  await withRefusedBuffers(async () => {
    const says = "Cannot allocate attention";
    await assertRejects(() => Attention.create(gpu, SPEC), GpuWorkError, says);
  });
});

Deno.test("attention: a device that refuses a kernel is heard, and may be asked again", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  using tensors = new Tensors();
  const spec = { ...SPEC, headDim: 20 };
  const { createComputePipelineAsync } = device;
  device.createComputePipelineAsync = () => Promise.reject(new Error("too large for this device"));
  try {
    const says = "too large for this device";
    await assertRejects(() => Attention.create(gpu, spec), GpuWorkError, says);
  } finally {
    device.createComputePipelineAsync = createComputePipelineAsync;
  }
  tensors.keep(await Attention.create(gpu, spec));
});

type Tensorish = Partial<Record<keyof AttentionTensors, unknown>>;

/** Encodes SPEC (and what differs) with tensors that differ, and expects a refusal that says why. */
async function refuses(
  tensors: Tensors,
  given: Tensorish,
  throws: typeof TypeError | typeof RangeError,
  says: string,
  spec: Partial<AttentionSpec> = {},
): Promise<void> {
  const gpu = await sharedGpu();
  const attention = tensors.keep(await Attention.create(gpu, { ...SPEC, ...spec }));
  const all = { ...await tensorsOf(tensors), ...given } as unknown as AttentionTensors;
  await submit((encoder) => {
    assertThrows(() => attention.encode(encoder, all), throws, says);
  });
}

Deno.test("attention: refuses tensors of the wrong shape", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  for (const name of ["q", "k", "v", "o"] as const) {
    const needed = SHAPES[name];
    for (const [axis, size] of needed.entries()) {
      const shape = needed.with(axis, size + 1);
      const wrong = tensors.keep(await Tensor.empty(gpu, shape));
      const values = `${name}=[${shape.join(", ")}]`;
      await refuses(tensors, { [name]: wrong }, RangeError, values);
      const says = `${name} must have shape [${needed.join(", ")}]`;
      await refuses(tensors, { [name]: wrong }, RangeError, says);
    }
    const flat = tensors.keep(await Tensor.empty(gpu, [needed.reduce((a, b) => a * b)]));
    await refuses(tensors, { [name]: flat }, RangeError, `${name} must have shape`);
  }
  const swapped = tensors.keep(await Tensor.empty(gpu, [1, 2, 5, 8]));
  await refuses(tensors, { k: swapped }, RangeError, "k=[1, 2, 5, 8]");
});

Deno.test("attention: refuses missing tensors and things that are no tensors", async () => {
  using tensors = new Tensors();
  for (const name of ["q", "k", "v", "o"] as const) {
    const says = `${name} must be a Tensor: current value ${name}=`;
    await refuses(tensors, { [name]: undefined }, TypeError, `${says}undefined`);
    await refuses(tensors, { [name]: { data: [], shape: SHAPES[name] } }, TypeError, says);
  }
});

Deno.test("attention: refuses tensors of another element type", async () => {
  if (!await hasF16()) return;
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  for (const name of ["q", "k", "v", "o"] as const) {
    const half = tensors.keep(await Tensor.empty(gpu, SHAPES[name], { dtype: "f16" }));
    const says = `${name} must be f32: current value ${name}="f16"`;
    await refuses(tensors, { [name]: half }, TypeError, says);
  }
  await refuses(tensors, {}, TypeError, 'q must be f16: current value q="f32"', { dtype: "f16" });
});

Deno.test("attention: refuses tensors of another device", async () => {
  using tensors = new Tensors();
  const other = await Gpu.open();
  try {
    for (const name of ["q", "k", "v", "o"] as const) {
      const foreign = await Tensor.empty(other, SHAPES[name]);
      const says = `${name} must live on the same device`;
      await refuses(tensors, { [name]: foreign }, TypeError, says);
    }
  } finally {
    other.destroy();
  }
});

Deno.test("attention: refuses to write where it reads, or twice", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const { q, k, o } = await tensorsOf(tensors);
  const says = "every output must have a buffer of its own";
  await refuses(tensors, { q, o: q }, TypeError, says);
  const wrapped = Tensor.wrap(gpu, q.buffer, SHAPES.o);
  await refuses(tensors, { q, o: wrapped }, TypeError, says);
  const weights = tensors.keep(await Tensor.empty(gpu, [1, 4, 3, 5]));
  const both: Partial<AttentionSpec> = { outputs: ["scores", "weights"] };
  await refuses(tensors, { scores: weights, weights }, TypeError, says, both);
  const square: Partial<AttentionSpec> = { headDim: 5, outputs: ["weights"], layout: "BNSH" };
  const shared = tensors.keep(await Tensor.empty(gpu, [1, 4, 3, 5]));
  const narrow = tensors.keep(await Tensor.empty(gpu, [1, 2, 5, 5]));
  const output = { o: tensors.keep(await Tensor.empty(gpu, [1, 4, 3, 5])), k: narrow, v: narrow };
  await refuses(tensors, { ...output, q: shared, weights: shared }, TypeError, says, square);
  // To read one buffer twice is fine.
  const attention = tensors.keep(await Attention.create(gpu, SPEC));
  await submit((encoder) => attention.encode(encoder, { q, k, v: k, o }));
});

Deno.test("attention: refuses outputs that were not asked for, and wants those that were", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const output = tensors.keep(await Tensor.empty(gpu, [1, 4, 3, 5]));
  const outputs = ["weights"] as const;
  const notAsked = "scores must be asked for when the attention is created";
  await refuses(tensors, { scores: output }, TypeError, notAsked);
  await refuses(tensors, { scores: output, weights: output }, TypeError, notAsked, { outputs });
  await refuses(tensors, {}, TypeError, "weights must be a Tensor", { outputs });
  await refuses(tensors, { weights: output }, RangeError, "weights must have shape [1, 4, 3, 4]", {
    ...{ outputs, window: 2 },
  });
});

Deno.test("attention: cannot be created beyond the limits of the device", async () => {
  const gpu = await sharedGpu();
  const { maxStorageBufferBindingSize } = gpu.device.limits;
  const says = `maxStorageBufferBindingSize=${maxStorageBufferBindingSize}`;
  const capacity = Math.floor(maxStorageBufferBindingSize / 4);
  const create = (spec: Partial<AttentionSpec>) => Attention.create(gpu, { ...SPEC, ...spec });
  await assertRejects(() => create({ capacity }), RangeError, `k must fit one storage binding`);
  await assertRejects(() => create({ capacity }), RangeError, says);
  const seqLen = Math.ceil(maxStorageBufferBindingSize / 1024);
  const outputs = ["scores"] as const;
  await assertRejects(() => create({ seqLen, capacity: seqLen, outputs }), RangeError, says);
});

Deno.test("attention: wants the bias, mask and lengths that were planned, and no others", async () => {
  using tensors = new Tensors();
  const upload = (shape: number[], dtype: "f32" | "u32" | "bool") =>
    tensors.upload({ data: new Float32Array(shape.reduce((a, b) => a * b)), shape }, dtype);
  const [bias, mask] = [await upload([3, 5], "f32"), await upload([3, 5], "bool")];
  const planned = { bias: [3, 5], mask: [3, 5] };
  await refuses(tensors, { bias }, TypeError, "bias must be planned (give its shape)");
  await refuses(tensors, { mask }, TypeError, "mask must be planned (give its shape)");
  await refuses(tensors, { mask }, TypeError, "bias must be a Tensor", planned);
  await refuses(tensors, { bias }, TypeError, "mask must be a Tensor", planned);
  const says = (name: string, dtype: string) => `${name} must be ${dtype}`;
  await refuses(tensors, { bias: mask, mask }, TypeError, says("bias", "f32"), planned);
  await refuses(tensors, { bias, mask: bias }, TypeError, says("mask", "bool"), planned);
  const longer = await upload([3, 6], "bool");
  const shape = "mask must have shape [3, 5]: current value mask=[3, 6]";
  await refuses(tensors, { bias, mask: longer }, RangeError, shape, planned);
  const lengths = await upload([2], "u32");
  await refuses(tensors, { lengths }, RangeError, "lengths must have shape [1]");
  await refuses(tensors, { lengths: await upload([1], "f32") }, TypeError, says("lengths", "u32"));
  const lse = await upload([1, 3, 4], "f32");
  await refuses(tensors, { lse }, TypeError, "lse must be asked for");
  await refuses(tensors, {}, TypeError, "lse must be a Tensor", { outputs: ["lse"] });
  const swapped = await upload([1, 4, 3], "f32");
  const lseShape = "lse must have shape [1, 3, 4]";
  await refuses(tensors, { lse: swapped }, RangeError, lseShape, { outputs: ["lse"] });
});
