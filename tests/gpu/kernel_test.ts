// Kernels bind by name and are compiled once.
import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Attention, Gpu, GpuWorkError, Tensor } from "../../mod.ts";
import { Kernel } from "../../src/gpu/kernel.ts";
import { join, type WgslModule } from "../../src/gpu/compose.ts";
import { inPass } from "../../src/gpu/bound_work.ts";
import { sharedGpu } from "../support/gpu.ts";
import { submit, Tensors } from "../support/run.ts";

const ADD = join("add", {
  constants: { WORKGROUP: 4 },
  fragments: [`
    struct Params { offset: vec3u, factor: f32, shift: i32 }
    var<storage, read_write> sums: array<f32>;
    var<storage, read> second: array<f32>;
    var<uniform> params: Params;
    var<storage, read> first: array<f32>;
    @compute @workgroup_size(WORKGROUP)
    fn main(@builtin(global_invocation_id) id: vec3u) {
      let i = id.x;
      sums[i] = params.factor * first[i + params.offset.y] - second[i] + f32(params.shift);
    }
  `],
});

Deno.test("kernel: binds buffers and parameters by name", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const kernel = await Kernel.compile(gpu, ADD);
  const first = await tensors.upload({ data: [9, 1, 2, 3, 4], shape: [5] });
  const second = await tensors.upload({ data: [10, 20, 30, 40], shape: [4] });
  const sums = await tensors.poisoned([4]);
  const params = tensors.keep(kernel.uniform({ shift: -5, factor: 100, offset: [7, 1, 7] }));
  const dispatch = kernel.bind({
    ...{ params, first: first.buffer, second: second.buffer, sums: sums.buffer },
    unknown: first.buffer,
  }, [1, 1]);
  await submit((encoder) => inPass(encoder, (pass) => dispatch.encode(pass)));
  assertEquals(await sums.download(), Float32Array.of(85, 175, 265, 355));
});

Deno.test("kernel: the same text is the same kernel, also while it compiles", async () => {
  const gpu = await sharedGpu();
  const [one, two] = await Promise.all([
    Kernel.compile(gpu, ADD),
    Kernel.compile(gpu, ADD),
  ]);
  assertStrictEquals(one, two);
  assertStrictEquals(await Kernel.compile(gpu, { ...ADD }), one);
  assert(await Kernel.compile(gpu, { ...ADD, constants: { WORKGROUP: 8 } }) !== one);
});

Deno.test("kernel: a text that does not compile is refused by name, each time", async () => {
  const gpu = await sharedGpu();
  const fragments = ADD.fragments.map((text) => text.replace("first[i", "first.nobody[i"));
  const says = "Cannot compile broken add as WebGPU refused it";
  for (let time = 0; time < 2; time++) {
    const compile = () => Kernel.compile(gpu, { ...ADD, label: "broken add", fragments });
    await assertRejects(compile, GpuWorkError, says);
  }
});

Deno.test("kernel: a failed compile is forgotten", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const module = { ...ADD, constants: { WORKGROUP: 2 } };
  const { createComputePipelineAsync } = device;
  device.createComputePipelineAsync = () => Promise.reject(new Error("not now"));
  try {
    await assertRejects(() => Kernel.compile(gpu, module), Error, "not now");
  } finally {
    device.createComputePipelineAsync = createComputePipelineAsync;
  }
  await Kernel.compile(gpu, module);
});

Deno.test("kernel: those that were asked for last are kept, until they are let go", async () => {
  const gpu = await Gpu.open();
  const compile = (factor: number) =>
    Kernel.compile(gpu, { ...ADD, constants: { WORKGROUP: 1, FACTOR: factor } });
  const [first, second] = [await compile(0), await compile(1)];
  for (let factor = 2; factor < 64; factor++) await compile(factor);
  // 64 of them: the first is used once more, so that the second goes for the next.
  assertStrictEquals(await compile(0), first);
  await compile(64);
  assertStrictEquals(await compile(0), first);
  assert(await compile(1) !== second, "a kernel too many is kept");

  const attention = await Attention.create(gpu, { numHeads: 1, headDim: 2, capacity: 1 });
  gpu.trim();
  assert(await compile(0) !== first);
  // Whoever has one goes on with it.
  const [q, k, v, o] = await Promise.all(
    [1, 2, 3, 0].map((value) => Tensor.upload(gpu, { data: [value, value], shape: [1, 1, 1, 2] })),
  );
  const encoder = gpu.device.createCommandEncoder();
  attention.encode(encoder, { q, k, v, o });
  gpu.device.queue.submit([encoder.finish()]);
  assertEquals(await o.download(), Float32Array.of(3, 3));
  gpu.destroy();
});

Deno.test("kernel: wants every parameter, every buffer and every texture, by name", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const kernel = await Kernel.compile(gpu, ADD);
  const incomplete = () => kernel.uniform({ factor: 1, shift: 2 });
  assertThrows(incomplete, TypeError, "Cannot run add as params.offset must be");
  const { buffer } = tensors.keep(await Tensor.empty(gpu, [4]));
  const unbound = () => kernel.bind({ first: buffer, second: buffer, sums: buffer }, [1, 1]);
  assertThrows(unbound, TypeError, "add needs a buffer for params");
  const texels = `var texels: texture_2d<f32>;
    @compute @workgroup_size(1) fn main() { let texel = textureLoad(texels, vec2u(), 0); }`;
  const reader = await Kernel.compile(gpu, join("read", { fragments: [texels] }));
  assertThrows(() => reader.bind({}, [1, 1]), TypeError, "read needs a texture for texels");
});

Deno.test("kernel: more buffers than the device binds at once are refused", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const gpu = await Gpu.from(await adapter!.requestDevice());
  try {
    const most = gpu.device.limits.maxStorageBuffersPerShaderStage;
    const using = (count: number): WgslModule => {
      const names = Array.from({ length: count }, (_, i) => `x${i}`);
      const variables = names.map((name) => `var<storage, read_write> ${name}: array<f32>;`);
      const main = `@compute @workgroup_size(1) fn main() { ${
        names.map((name) => `${name}[0] = factor;`).join(" ")
      } }`;
      // A uniform is none of them.
      const uniform = "var<uniform> factor: f32;";
      return join("full", { fragments: [...variables, uniform, main] });
    };
    await Kernel.compile(gpu, using(most));
    const says = `storageBuffers=${most + 1}, maxStorageBuffersPerShaderStage=${most}`;
    await assertRejects(() => Kernel.compile(gpu, using(most + 1)), RangeError, says);
  } finally {
    gpu.destroy();
  }
});
