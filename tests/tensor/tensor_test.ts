import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DeviceLostError, Gpu, GpuWorkError, RingKvCache, Tensor } from "../../mod.ts";
import { downloadTogether } from "../../src/tensor/download.ts";
import { buffersOf, withLimits, withRefusedBuffers } from "../support/buffers.ts";
import { assertClose, assertSame } from "../support/compare.ts";
import { hasF16, sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { rounded, Tensors } from "../support/run.ts";

Deno.test("tensor: where the runtime has no Float16Array, f16 is refused and all else works", async () => {
  using tensors = new Tensors();
  const source = { data: new Float32Array([1, -2, 3]), shape: [3] };
  const halves = await hasF16() && await tensors.upload(source, "f16");
  const { Float16Array } = globalThis;
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    for (const dtype of ["f32", "int8"] as const) {
      const tensor = await tensors.upload(source, dtype);
      assertClose(await tensor.download(), source.data, 0.02, dtype);
    }
    if (!halves) return;
    await assertRejects(() => tensors.upload(source, "f16"), TypeError, "Node 24");
    await assertRejects(() => halves.download(), TypeError, "Node 24");
  } finally {
    Object.assign(globalThis, { Float16Array });
  }
});

for (const dtype of ["f32", "f16"] as const) {
  testRandomly(`tensor: ${dtype} comes back as it went, in any number`, async (random) => {
    if (dtype === "f16" && !await hasF16()) return;
    using tensors = new Tensors();
    for (const shape of [[1], [3], [2, 2], [5, 7], [1, 3, 1, 11], [1025]]) {
      const host = rounded(random.tensor(shape), dtype);
      const tensor = await tensors.upload(host, dtype);
      assertEquals(tensor.shape, shape);
      assertEquals(tensor.dtype, dtype);
      assertEquals(tensor.length, host.data.length);
      assertEquals(tensor.bytes, Math.ceil(host.data.length * (dtype === "f32" ? 1 : 0.5)) * 4);
      assertSame(await tensor.download(), host.data, `${shape}`);
    }
  });

  Deno.test(`tensor: ${dtype} of zeros`, async () => {
    if (dtype === "f16" && !await hasF16()) return;
    using tensors = new Tensors();
    const tensor = tensors.keep(await Tensor.empty(await sharedGpu(), [3, 5], { dtype }));
    assertEquals(await tensor.download(), new Float32Array(15));
  });

  Deno.test(`tensor: ${dtype} holds infinities and NaN`, async () => {
    if (dtype === "f16" && !await hasF16()) return;
    using tensors = new Tensors();
    const data = [Infinity, -Infinity, NaN];
    const tensor = await tensors.upload({ data, shape: [3] }, dtype);
    assertEquals(await tensor.download(), Float32Array.from(data));
  });
}

testRandomly(
  "tensors: together they may be more than the device's largest buffer",
  async (random) => {
    using tensors = new Tensors();
    const hosts = [3, 16, 1, 1, 14, 2].map((length) => random.tensor([length]));
    const all = await Promise.all(hosts.map((host) => tensors.upload(host)));
    const { made, sizes } = await buffersOf(() =>
      withLimits({ maxBufferSize: 64 }, async () => {
        const downloaded = await downloadTogether(await sharedGpu(), all);
        assertEquals(downloaded, hosts.map(({ data }) => Float32Array.from(data)));
      })
    );
    const stagings = sizes.filter((_, i) => made[i] === "download");
    assertEquals(stagings, [12, 64, 64, 8]);
  },
);

testRandomly(
  "tensors: what a submit that was dropped did not copy is no download",
  async (random) => {
    // As where a driver has failed, and the runtime does not know of it yet.
    const gpu = await Gpu.open();
    const { queue } = gpu.device;
    const tensor = await Tensor.upload(gpu, random.tensor([5]));
    const before = await tensor.download();
    queue.submit = () => {};
    await assertRejects(
      () => tensor.download(),
      GpuWorkError,
      "Cannot download a tensor as the GPU must do what is submitted (it may be lost: open it anew)",
    );
    const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 4, capacity: 3 });
    await assertRejects(() => cache.snapshot(), GpuWorkError, "must do what is submitted");
    Reflect.deleteProperty(queue, "submit");
    assertEquals(await tensor.download(), before);
    queue.submit = () => GPUDevice.prototype.destroy.call(gpu.device);
    await assertRejects(() => tensor.download(), DeviceLostError);
    gpu.destroy();
  },
);

Deno.test("tensor: f16 rounds to the nearest", async () => {
  if (!await hasF16()) return;
  using tensors = new Tensors();
  const data = [1 / 3, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 2 ** -24, 65504, -65504, -0.1];
  const tensor = await tensors.upload({ data, shape: [7] }, "f16");
  assertSame(await tensor.download(), data.map(Math.f16round), "rounded");
});

Deno.test("tensor: refuses what f16 cannot hold, and says which", async () => {
  if (!await hasF16()) return;
  const gpu = await sharedGpu();
  for (const value of [65536, -70000, 1e30]) {
    const source = { data: [1, 2, value], shape: [3] };
    const says = `index=2, value=${value}`;
    await assertRejects(() => Tensor.upload(gpu, source, { dtype: "f16" }), RangeError, says);
  }
});

for (const [dtype, most] of [["int8", 127], ["int4", 7]] as const) {
  testRandomly(`tensor: ${dtype} rounds each row to multiples of its step`, async (random) => {
    using tensors = new Tensors();
    for (const shape of [[1], [3], [2, 8], [5, 7], [1, 3, 2, 11], [2, 129]]) {
      const size = shape.at(-1)!;
      const { data } = random.tensor(shape);
      const tensor = await tensors.upload({ data, shape }, dtype);
      const rows = data.length / size;
      assertEquals(
        tensor.bytes,
        rows * (4 + 4 * Math.ceil(size * (dtype === "int8" ? 8 : 4) / 32)),
      );
      const back = await tensor.download();
      for (let row = 0; row < rows; row++) {
        const [given, held] = [data, back].map((x) => x.subarray(row * size, (row + 1) * size));
        const step = Math.max(...given.map(Math.abs)) / most;
        assertClose(held, given, step * (0.5 + 1e-6), `${shape}: half a step`);
        const integers = held.map((x) => x / step);
        assertClose(integers, integers.map(Math.round), 1e-4, `${shape}: whole steps`);
      }
    }
  });

  Deno.test(`tensor: ${dtype} refuses what is not finite, and says which`, async () => {
    const gpu = await sharedGpu();
    for (const value of [Infinity, -Infinity, NaN, 1e39]) {
      const source = { data: [1, 2, value], shape: [3] };
      const says = `index=2, value=${value}`;
      await assertRejects(() => Tensor.upload(gpu, source, { dtype }), RangeError, says);
    }
  });
}

Deno.test("tensor: what is uploaded is a copy", async () => {
  using tensors = new Tensors();
  const data = Float32Array.of(1, 2, 3);
  const shape = [3];
  const tensor = await tensors.upload({ data, shape });
  data.fill(9);
  shape[0] = 1;
  assertEquals(tensor.shape, [3]);
  assertEquals(await tensor.download(), Float32Array.of(1, 2, 3));
});

const WRONG_SHAPES: readonly {
  shape: unknown;
  throws: typeof TypeError | typeof RangeError;
  says: string;
}[] = [
  { shape: [], throws: TypeError, says: "shape must be an array of sizes" },
  { shape: 3, throws: TypeError, says: "shape=3" },
  { shape: undefined, throws: TypeError, says: "shape=undefined" },
  { shape: [0], throws: RangeError, says: "shape[0]=0" },
  { shape: [2, -1], throws: RangeError, says: "shape[1]=-1" },
  { shape: [1.5], throws: RangeError, says: "shape[0]=1.5" },
  { shape: [NaN], throws: RangeError, says: "shape[0]=NaN" },
  { shape: ["3"], throws: TypeError, says: 'shape[0]="3"' },
];

for (const { shape, throws, says } of WRONG_SHAPES) {
  Deno.test(`tensor: refuses shape ${JSON.stringify(shape)}`, async () => {
    const gpu = await sharedGpu();
    await assertRejects(() => Tensor.empty(gpu, shape as number[]), throws, says);
    const source = { data: [1, 2, 3], shape: shape as number[] };
    await assertRejects(() => Tensor.upload(gpu, source), throws, says);
    const buffer = gpu.device.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
    assertThrows(() => Tensor.wrap(gpu, buffer, shape as number[]), throws, says);
    buffer.destroy();
  });
}

Deno.test("tensor: refuses data that is not of the shape", async () => {
  const gpu = await sharedGpu();
  const source = { data: [1, 2, 3], shape: [2, 2] };
  await assertRejects(() => Tensor.upload(gpu, source), RangeError, "elements=3, shape=[2, 2]");
});

Deno.test("tensor: names itself in refusals", async () => {
  const gpu = await sharedGpu();
  const empty = () => Tensor.empty(gpu, [0], { label: "my queries" });
  await assertRejects(empty, RangeError, "Cannot allocate my queries as");
  const upload = () => Tensor.upload(gpu, { data: [], shape: [1] }, { label: "my keys" });
  await assertRejects(upload, RangeError, "Cannot upload my keys as");
});

Deno.test("tensor: refuses unknown element types", async () => {
  const gpu = await sharedGpu();
  const options = { dtype: "f64" as "f32" };
  await assertRejects(() => Tensor.empty(gpu, [3], options), TypeError, 'dtype="f64"');
});

Deno.test("tensor: refuses more than one binding holds", async () => {
  const gpu = await sharedGpu();
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const most = Math.min(maxStorageBufferBindingSize, maxBufferSize);
  const bytes = most + 4 - most % 4;
  const says = `bytes=${bytes}, maxStorageBufferBindingSize=${maxStorageBufferBindingSize}`;
  await assertRejects(() => Tensor.empty(gpu, [bytes / 4]), RangeError, says);
  await assertRejects(() => Tensor.empty(gpu, [2 ** 20, 2 ** 20]), RangeError, "bytes=");
});

Deno.test("tensor: a device that refuses the memory is heard", async () => {
  const gpu = await sharedGpu();
  await withRefusedBuffers(async () => {
    const empty = () => Tensor.empty(gpu, [3], { label: "my tensor" });
    await assertRejects(empty, GpuWorkError, "Cannot allocate my tensor as WebGPU refused it");
  });
});

Deno.test("tensor: wraps a buffer of the caller's", async () => {
  const gpu = await sharedGpu();
  const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
  const buffer = gpu.device.createBuffer({ size: 64, usage: STORAGE | COPY_SRC | COPY_DST });
  gpu.device.queue.writeBuffer(buffer, 0, Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  const tensor = Tensor.wrap(gpu, buffer, [2, 3]);
  assertEquals(tensor.buffer, buffer);
  assertEquals(await tensor.download(), Float32Array.of(1, 2, 3, 4, 5, 6));
  buffer.destroy();
});

Deno.test("tensor: wraps no buffer that it could not use", async () => {
  const gpu = await sharedGpu();
  const { STORAGE, COPY_SRC } = GPUBufferUsage;
  const stored = gpu.device.createBuffer({ size: 16, usage: STORAGE });
  const says = "size=16, shape=[5], bytes=20";
  assertThrows(() => Tensor.wrap(gpu, stored, [5]), RangeError, says);
  await assertRejects(() => Tensor.wrap(gpu, stored, [4]).download(), TypeError, "COPY_SRC");
  const copied = gpu.device.createBuffer({ size: 16, usage: COPY_SRC });
  assertThrows(() => Tensor.wrap(gpu, copied, [4]), TypeError, "usage STORAGE");
  for (const buffer of [stored, copied]) buffer.destroy();
});

Deno.test("tensor: f16 on a device without it is refused", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const gpu = await Gpu.from(await adapter!.requestDevice());
  try {
    const says = 'the device lacks shader-f16 (use dtype "f32")';
    await assertRejects(() => Tensor.empty(gpu, [3], { dtype: "f16" }), RangeError, says);
  } finally {
    gpu.destroy();
  }
});

Deno.test("tensor: a mask is bits, the lowest first, with no gap between rows", async () => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const data = Array.from({ length: 3 * 13 }, (_, i) => i % 3 === 0);
  const mask = await tensors.upload({ data, shape: [3, 13] }, "bool");
  assertEquals(mask.bytes, 8);
  assertSame(await mask.download(), data.map(Number), "as uploaded");
  const words = Tensor.wrap(gpu, mask.buffer, [2], "u32");
  const word = (first: number) =>
    data.slice(first, first + 32).reduce((sum, bit, i) => sum + (bit ? 2 ** i : 0), 0);
  // A download of u32 is as exact as f32.
  assertSame(await words.download(), [Math.fround(word(0)), word(32)], "words");
  const numbers = await tensors.upload({ data: [1, 0, 1], shape: [3] }, "bool");
  assertSame(await numbers.download(), [1, 0, 1], "of numbers");
});

Deno.test("tensor: refuses what u32 and bool cannot hold, and says which", async () => {
  const gpu = await sharedGpu();
  const upload = (data: number[], dtype: "u32" | "bool") => () =>
    Tensor.upload(gpu, { data, shape: [data.length] }, { dtype });
  await assertRejects(upload([1, -1], "u32"), RangeError, "index=1, value=-1");
  await assertRejects(upload([0.5], "u32"), RangeError, "index=0, value=0.5");
  await assertRejects(upload([2 ** 32], "u32"), RangeError, "value=4294967296");
  await assertRejects(upload([0, 1, 2], "bool"), RangeError, "index=2, value=2");
  await assertRejects(upload([NaN], "bool"), RangeError, "value=NaN");
});

for (const dtype of ["int8", "int4"] as const) {
  Deno.test(`tensor: ${dtype} of the largest f32 stays finite`, async () => {
    using tensors = new Tensors();
    const largest = 3.4028234663852886e38;
    const data = [largest, -largest, 0, largest / 2];
    const back = await (await tensors.upload({ data, shape: [4] }, dtype)).download();
    const step = largest / (dtype === "int8" ? 127 : 7);
    for (const [i, value] of back.entries()) {
      const off = Math.abs(value - data[i]);
      assert(off <= 0.501 * step, `${value} instead of ${data[i]}`);
    }
  });
}

Deno.test("tensor: refuses elements that are no numbers, in every element type", async () => {
  const gpu = await sharedGpu();
  const dtypes = ["f32", "int8", "int4", "u32", "bool"] as const;
  const wrong = ["1", null, undefined, {}, [1], 1n, Symbol("1")] as unknown as number[];
  for (const dtype of [...dtypes, ...(await hasF16() ? ["f16"] as const : [])]) {
    const upload = (data: ArrayLike<number>) => () =>
      Tensor.upload(gpu, { data, shape: [2] }, { dtype });
    for (const value of wrong) {
      await assertRejects(upload([1, value]), TypeError, "index=1");
    }
    const holes = new Array<number>(2);
    holes[0] = 1;
    await assertRejects(upload(holes), TypeError, "index=1, value=undefined");
    const objects: unknown[] = [
      { length: 2, 0: 1, 1: 0 },
      "10",
      new DataView(new ArrayBuffer(2)),
      new BigUint64Array(2),
      null,
      { length: 1e15 },
      () => {},
    ];
    for (const data of objects) {
      await assertRejects(upload(data as number[]), TypeError, "data must be an array of numbers");
    }
    if (dtype === "bool") continue;
    const booleans = [true, false] as unknown as number[];
    await assertRejects(upload(booleans), TypeError, "index=0, value=true");
  }
});

Deno.test("tensor: refuses finite numbers that f32 holds as infinity", async () => {
  const gpu = await sharedGpu();
  for (const data of [[1, 1e39], Float64Array.of(1, -1e300)]) {
    const upload = () => Tensor.upload(gpu, { data, shape: [2] });
    await assertRejects(upload, RangeError, "f32 holds numbers up to 3.4028234663852886e+38");
  }
  using tensors = new Tensors();
  // Half a unit in the last place above the largest f32 is rounded to it.
  const tensor = await tensors.upload({ data: [3.4028235e38], shape: [1] });
  assertSame(await tensor.download(), [3.4028234663852886e38], "rounded");
});

Deno.test("tensor: takes typed arrays of every kind of number", async () => {
  using tensors = new Tensors();
  for (const View of [Float64Array, Int8Array, Uint8ClampedArray, Uint16Array, Int32Array]) {
    const tensor = await tensors.upload({ data: View.of(3, 0, 100), shape: [3] });
    assertSame(await tensor.download(), [3, 0, 100], View.name);
  }
});

Deno.test("tensor: an allocation keeps the shape that was checked, whatever becomes of the array", async () => {
  using tensors = new Tensors();
  const shape = [2, 3];
  const pending = Tensor.empty(await sharedGpu(), shape);
  shape[0] = 2 ** 20;
  const tensor = tensors.keep(await pending);
  assertEquals(tensor.shape, [2, 3]);
  assertThrows(() => (tensor.shape as number[])[0] = 7, TypeError);
});

Deno.test("tensor: null in place of options is named", async () => {
  const gpu = await sharedGpu();
  const none = null as unknown as undefined;
  const says = "options must be an object: current value options=null";
  await assertRejects(() => Tensor.empty(gpu, [1], none), TypeError, says);
  const source = { data: [1], shape: [1] };
  await assertRejects(() => Tensor.upload(gpu, source, none), TypeError, says);
  const wrap = () => Tensor.wrap(gpu, none as unknown as GPUBuffer, [1]);
  assertThrows(wrap, TypeError, "buffer must be an object: current value buffer=null");
});
