// Devices: what they can do, and how their errors and their loss reach whoever waits.
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStrictEquals,
  assertThrows,
} from "@std/assert";
import {
  attend,
  Attention,
  DeviceLostError,
  Gpu,
  GpuUnavailableError,
  GpuWorkError,
  MergeStates,
  PagedKvCache,
  PagePool,
  RingKvCache,
  SharedPrefixAttention,
  Tensor,
} from "../../mod.ts";
import { checkGpu } from "../../src/gpu/device.ts";
import { sharedGpu } from "../support/gpu.ts";
import { printed } from "../support/printed.ts";
import { within } from "../support/within.ts";

/** Something that WebGPU refuses, outside every error scope. */
function doWrong({ device }: Gpu): void {
  device.createBuffer({ label: "wrong", size: 4, usage: 0x4000_0000 });
}

/** A device of its own, for tests that break it. */
async function withOwnGpu(
  test: (gpu: Gpu) => Promise<void>,
  descriptor?: GPUDeviceDescriptor,
): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter();
  const gpu = descriptor
    ? await Gpu.from(await adapter!.requestDevice(descriptor))
    : await Gpu.open();
  try {
    await test(gpu);
  } finally {
    gpu.destroy();
  }
}

Deno.test("gpu: features are those of the device", async () => {
  const { device, features, description } = await sharedGpu();
  assertEquals(features, {
    f16: device.features.has("shader-f16"),
    subgroups: device.features.has("subgroups"),
    timestamps: device.features.has("timestamp-query"),
    // Deno does not grant them yet.
    matrixUnits: false,
  });
  assert(description.description.length > 0);
  assertEquals(typeof description.isSoftware, "boolean");
});

Deno.test("gpu: everything that the adapter lists and we use is asked for", async () => {
  const { device } = await Gpu.open();
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  for (const name of ["shader-f16", "timestamp-query"] as const) {
    assertEquals(device.features.has(name), adapter!.features.has(name), name);
  }
  for (
    const name of [
      "maxBufferSize",
      "maxStorageBufferBindingSize",
      "maxComputeWorkgroupStorageSize",
      "maxComputeInvocationsPerWorkgroup",
    ] as const
  ) assertEquals(device.limits[name], adapter!.limits[name], name);
  device.destroy();
});

/** Whether a device takes a kernel. */
async function compiles({ device }: Gpu, code: string): Promise<boolean> {
  device.pushErrorScope("validation");
  const compute = { module: device.createShaderModule({ code }) };
  device.createComputePipeline({ layout: "auto", compute });
  return await device.popErrorScope() === null;
}

Deno.test("gpu: what is announced compiles, and what is not does not", async () => {
  const adapter = await navigator.gpu.requestAdapter();
  const bare = await Gpu.from(await adapter!.requestDevice());
  const shared = await sharedGpu();
  for (const gpu of [shared, bare]) {
    const { features, dialect } = gpu;
    const main = "@compute @workgroup_size(32) fn main()";
    assert(await compiles(gpu, `${main} {}`));
    assertEquals(await compiles(gpu, `enable f16; ${main} { _ = f16(1); }`), features.f16);
    const uses = `${main} { _ = subgroupAdd(1u); }`;
    const written = [false, true].map((enable) => enable ? `enable subgroups; ${uses}` : uses);
    const taken = await Promise.all(written.map((code) => compiles(gpu, code)));
    assertEquals(taken.includes(true), features.subgroups);
    if (features.subgroups) assert(taken[Number(dialect.enableSubgroups)]);
  }
  assertEquals([bare.features.f16, bare.features.subgroups], [false, false]);
  bare.destroy();
});

Deno.test("gpu: the same for the same device", async () => {
  const gpu = await sharedGpu();
  assertStrictEquals(await Gpu.from(gpu.device), gpu);
  const [one, two] = await Promise.all([Gpu.from(gpu.device), Gpu.from(gpu.device)]);
  assertStrictEquals(one, two);
});

Deno.test("gpu: another one for another device", async () => {
  const gpu = await sharedGpu();
  await withOwnGpu((other) => {
    assert(other !== gpu);
    assert(other.device !== gpu.device);
    return Promise.resolve();
  });
});

Deno.test("gpu: a device that takes work and does nothing is refused", async () => {
  const { device } = await sharedGpu();
  const doesNothing = new Proxy(device, {
    get(target, name) {
      if (name === "queue") return { submit() {} };
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const says = `"${device.adapterInfo.description}" takes work and does nothing`;
  await assertRejects(() => Gpu.from(doesNothing), GpuUnavailableError, says);
});

Deno.test("gpu: opens adapters of a GPU object that the caller gives", async () => {
  const asked: (GPURequestAdapterOptions | undefined)[] = [];
  const gpu = {
    requestAdapter: (options?: GPURequestAdapterOptions) => {
      asked.push(options);
      return navigator.gpu.requestAdapter(options);
    },
  } as GPU;
  const own = await Gpu.open({ gpu, powerPreference: "low-power" });
  assertEquals(asked, [{ powerPreference: "low-power" }]);
  own.destroy();
  const none = { requestAdapter: () => Promise.resolve(null) } as unknown as GPU;
  await assertRejects(() => Gpu.open({ gpu: none }), GpuUnavailableError, "there is no adapter");
  for (const gpu of [{}, null, "navigator"]) {
    await assertRejects(() => Gpu.open({ gpu: gpu as GPU }), TypeError, "gpu must be a GPU object");
  }
});

Deno.test("gpu: no WebGPU and no adapter are told apart, with a cure", async () => {
  const { gpu } = navigator;
  const withGpu = async (value: unknown, says: string) => {
    Object.defineProperty(navigator, "gpu", { value, configurable: true });
    try {
      await assertRejects(() => Gpu.open(), GpuUnavailableError, says);
    } finally {
      delete (navigator as { gpu?: unknown }).gpu;
    }
  };
  await withGpu(undefined, "this runtime has no WebGPU");
  const nothing = { requestAdapter: () => Promise.resolve(null) };
  await withGpu(nothing, "apt-get install");
  await withGpu(nothing, "where a driver is installed, the runtime refuses it");
  await withGpu(nothing, "set VK_DRIVER_FILES");
  assertStrictEquals(navigator.gpu, gpu);
});

Deno.test("gpu: settled resolves when all is well, and again", async () => {
  const gpu = await sharedGpu();
  await gpu.settled();
  await gpu.settled();
});

Deno.test("gpu: an error that nobody caught reaches settled once, and is printed once", async () => {
  const gpu = await sharedGpu();
  const lines = await printed(async () => {
    doWrong(gpu);
    await assertRejects(() => gpu.settled(), GpuWorkError, "Cannot trust the results");
    await gpu.settled();
  });
  assertEquals(lines.length, 1);
  assertMatch(lines[0], /^WebGPU error: ./);
});

Deno.test("gpu: an error that nobody caught reaches download", async () => {
  const gpu = await sharedGpu();
  const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
  await printed(async () => {
    doWrong(gpu);
    await assertRejects(() => tensor.download(), GpuWorkError, "the GPU refused work");
  });
  assertEquals(await tensor.download(), Float32Array.of(1, 2));
  tensor.destroy();
});

Deno.test("gpu: an error of submitted work reaches download", async () => {
  const gpu = await sharedGpu();
  const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
  const destroyed = await Tensor.empty(gpu, [2]);
  destroyed.destroy();
  await printed(async () => {
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(destroyed.buffer, 0, tensor.buffer, 0, 8);
    gpu.device.queue.submit([encoder.finish()]);
    await assertRejects(() => tensor.download(), GpuWorkError);
  });
  tensor.destroy();
});

Deno.test("gpu: two errors are told at once", async () => {
  const gpu = await sharedGpu();
  const lines = await printed(async () => {
    doWrong(gpu);
    doWrong(gpu);
    const error = await assertRejects(() => gpu.settled(), GpuWorkError);
    assertEquals(error.message.split("; ").length, 2);
  });
  assertEquals(lines.length, 2);
});

Deno.test("gpu: waitFor takes promises of other realms, and nothing else", async () => {
  const gpu = await sharedGpu();
  // As promises of another realm are: no instances of this one's class.
  const foreign = <Value>(promise: Promise<Value>): PromiseLike<Value> => ({
    then: (...handlers) => promise.then(...handlers),
  });
  assertEquals(await gpu.waitFor(foreign(Promise.resolve(7))), 7);
  await assertRejects(() => gpu.waitFor(foreign(Promise.reject(new Error("no")))), Error, "no");
  for (const none of [undefined, null, 7, {}] as unknown[]) {
    await assertRejects(
      () => gpu.waitFor(none as Promise<never>),
      TypeError,
      "pending must be a promise",
    );
  }
});

Deno.test("gpu: that of another copy of the package is told from what is none", async () => {
  const { device } = await sharedGpu();
  const tell = (gpu: unknown, says: string) =>
    assertThrows(() => checkGpu("test", gpu), TypeError, says);
  tell({ device }, "gpu must be a Gpu of the same copy of the package");
  for (const none of [undefined, null, 7, {}, device, { device: {} }]) {
    tell(none, "gpu must be a Gpu (of Gpu.open");
  }
});

Deno.test("gpu: guard returns what was made", async () => {
  const gpu = await sharedGpu();
  const usage = GPUBufferUsage.STORAGE;
  const buffer = await gpu.guard(
    "make a buffer",
    () => gpu.device.createBuffer({ size: 4, usage }),
  );
  assertEquals(buffer.size, 4);
  buffer.destroy();
});

Deno.test("gpu: guard says what was refused, and keeps it from others", async () => {
  const gpu = await sharedGpu();
  const wrong = () => gpu.guard("make a buffer", () => doWrong(gpu));
  assertEquals(
    await printed(async () => {
      await assertRejects(wrong, GpuWorkError, "Cannot make a buffer as WebGPU refused it: ");
    }),
    [],
  );
  await gpu.settled();
});

Deno.test("gpu: guard passes on what its function throws, and leaves no scope open", async () => {
  const gpu = await sharedGpu();
  const thrown = new RangeError("of its own");
  const error = await assertRejects(() =>
    gpu.guard("make a buffer", () => {
      throw thrown;
    })
  );
  assertStrictEquals(error, thrown);
  // In an open scope the error would be caught, and settled would not hear of it.
  await printed(async () => {
    doWrong(gpu);
    await assertRejects(() => gpu.settled(), GpuWorkError);
  });
});

Deno.test("gpu: guards at the same time do not hear each other's errors", async () => {
  const gpu = await sharedGpu();
  const results = await Promise.allSettled([
    gpu.guard("one", () => 1),
    gpu.guard("two", () => doWrong(gpu)),
    gpu.guard("three", () => 3),
  ]);
  assertEquals(results.map(({ status }) => status), ["fulfilled", "rejected", "fulfilled"]);
});

Deno.test("gpu: a lost device rejects what waits, and hangs nobody", async () => {
  await withOwnGpu(async (gpu) => {
    const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
    const waiting = [
      tensor.download(),
      gpu.settled(),
      gpu.waitFor(new Promise<never>(() => {})),
    ];
    gpu.destroy();
    const results = await within(Promise.allSettled(waiting));
    // What the GPU did before it was lost may come through; what it never did must not.
    for (const result of results) {
      if (result.status === "rejected") assert(result.reason instanceof DeviceLostError);
    }
    assertEquals(results[2].status, "rejected");
  });
});

Deno.test("gpu: a lost device rejects everything that is asked of it later", async () => {
  await withOwnGpu(async (gpu) => {
    const tensor = await Tensor.upload(gpu, { data: [1, 2], shape: [2] });
    const spec = { numHeads: 1, headDim: 4, capacity: 4 };
    gpu.destroy();
    const rejected = (work: () => Promise<unknown>) =>
      within(assertRejects(work, DeviceLostError, "it was lost (destroyed)"));
    await rejected(() => tensor.download());
    await rejected(() => gpu.settled());
    await rejected(() => gpu.guard("work", () => {}));
    await rejected(() => Tensor.empty(gpu, [3]));
    await rejected(() => Tensor.upload(gpu, { data: [1], shape: [1] }));
    await rejected(() => Attention.create(gpu, spec));
    await rejected(() => RingKvCache.create(gpu, { ...spec, numKvHeads: 1 }));
  });
});

Deno.test("gpu: once device.destroy() was called, every call throws, also before the runtime tells the loss", async () => {
  await withOwnGpu(async (gpu) => {
    const { device } = gpu;
    const empty = (...shape: number[]) => Tensor.empty(gpu, shape);
    const shape = { numKvHeads: 1, headDim: 4, capacity: 8 };
    const cache = await RingKvCache.create(gpu, { ...shape, batch: 2, rope: {} });
    const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 2 });
    const merge = await MergeStates.create(gpu, { shape: [1, 2, 4] });
    const shared = await SharedPrefixAttention.create(gpu, {
      ...{ ...shape, numHeads: 2, prefix: { capacity: 3 } },
    });
    const [k, v, q, o] = await Promise.all([1, 1, 2, 2].map((heads) => empty(2, 1, heads, 4)));
    const state = { o: await empty(1, 2, 4), lse: await empty(1, 2) };
    const whole = { o: await empty(1, 2, 4), lse: await empty(1, 2) };
    const [prefixKv, suffixKv] = [await empty(1, 3, 1, 4), await empty(1, 8, 1, 4)];
    const one = [1, 1, 2, 4];
    const sharing = {
      ...{ q: await empty(...one), o: await empty(...one), lse: await empty(1, 1, 2) },
      prefix: { k: prefixKv, v: prefixKv },
      suffix: { k: suffixKv, v: suffixKv },
    };
    const pool = await PagePool.create(gpu, { numKvHeads: 1, headDim: 4, numPages: 4 });
    const paged = await PagedKvCache.create(pool, { batch: 2, capacity: 8, rope: {} });
    const append = cache.bindAppend({ k, v });
    const pagedAppend = paged.layers[0].bindAppend({ k, v });
    const encoder = device.createCommandEncoder();
    append.encode(encoder);
    paged.extend(encoder, [1, 0]);
    device.queue.submit([encoder.finish()]);
    const attends = attention.bind({ q, cache, o });
    const saved = await cache.snapshot();

    device.destroy();
    const target = device.createCommandEncoder();
    const calls: readonly (() => unknown)[] = [
      () => gpu.throwIfLost(),
      () => gpu.throwIfFailed(),
      () => append.encode(target),
      () => attends.encode(target),
      () => cache.append(target, { k, v }),
      () => cache.bindAppend({ k, v }),
      () => cache.truncate(target, 0),
      () => cache.fork(target, { from: 0, to: 1 }),
      () => cache.clear(target),
      () => cache.clear(target, 1),
      () => cache.ropeQueries(target, q),
      () => paged.extend(target, [1, 1]),
      () => paged.truncate(target, 0),
      () => paged.fork(target, { from: 0, to: 1 }),
      () => paged.clear(target),
      () => paged.clear(target, 1),
      () => paged.remember([]),
      () => paged.recall(target, [1], 1),
      () => pagedAppend.encode(target),
      () => paged.layers[0].bindAppend({ k, v }),
      () => paged.layers[0].ropeQueries(target, q),
      () => attention.encode(target, { q, cache, o }),
      () => attention.bind({ q, cache, o }),
      () => merge.encode(target, [state, state], whole),
      () => shared.encode(target, sharing),
      () => Tensor.wrap(gpu, k.buffer, [1]),
    ];
    const counted = () => [cache.length(), paged.length(0), paged.length(1), pool.available];
    const before = counted();
    for (const call of calls) assertThrows(call, DeviceLostError, "it was lost", String(call));
    assertEquals(counted(), before);
    // None of them was told in time by a wait.
    const pending = [
      () => gpu.settled(),
      () => gpu.guard("do nothing", () => {}),
      () => gpu.waitFor(Promise.resolve()),
      () => empty(1),
      () => k.download(),
      () => cache.snapshot(),
      () => cache.restore(saved),
      () => RingKvCache.restore(gpu, saved),
    ].map((call) => call());
    for (const result of await within(Promise.allSettled(pending))) {
      assert(result.status === "rejected" && result.reason instanceof DeviceLostError);
    }
    assertEquals([cache.length(0), cache.length(1)], [1, 1]);
    for (const one of [cache, attention, merge, shared, k]) one.destroy();
    await assertRejects(() => Gpu.from(device), DeviceLostError);
  });
});

Deno.test("gpu: a device that was lost before it is brought is refused", async () => {
  for (const isTold of [false, true]) {
    const adapter = await navigator.gpu.requestAdapter();
    const device = await adapter!.requestDevice();
    device.destroy();
    if (isTold) await device.lost;
    await assertRejects(() => within(Gpu.from(device)), DeviceLostError);
  }
});

Deno.test("gpu: nobody waits for a device that is lost already", async () => {
  await withOwnGpu(async (gpu) => {
    gpu.destroy();
    await assertRejects(() => gpu.settled(), DeviceLostError);
    const never = new Promise<never>(() => {});
    await assertRejects(() => within(gpu.waitFor(never)), DeviceLostError);
  });
});

Deno.test("gpu: a brought device without features works in f32", async () => {
  const host = (data: number[], ...shape: number[]) => ({ data, shape });
  await withOwnGpu(async (gpu) => {
    assertEquals(gpu.features, {
      ...{ f16: false, subgroups: false, timestamps: false, matrixUnits: false },
    });
    const inputs = {
      q: host([1, 0], 1, 1, 1, 2),
      k: host([1, 0, 1, 0], 1, 2, 1, 2),
      v: host([2, 4, 6, 8], 1, 2, 1, 2),
    };
    assertEquals((await attend(gpu, inputs)).o.data, Float32Array.of(4, 6));
    const says = 'the device lacks shader-f16 (use dtype "f32"): current values dtype="f16"';
    await assertRejects(() => attend(gpu, inputs, { dtype: "f16" }), RangeError, says);
    const spec = { numHeads: 1, numKvHeads: 1, headDim: 4, capacity: 4, dtype: "f16" } as const;
    await assertRejects(() => Attention.create(gpu, spec), RangeError, says);
    await assertRejects(() => RingKvCache.create(gpu, spec), RangeError, says);
    await gpu.settled();
  }, {});
});

Deno.test("gpu: subgroups are taken to be the smallest where the device does not list them", async () => {
  const { features: { subgroups } } = await sharedGpu();
  if (!subgroups) return;
  const adapter = await navigator.gpu.requestAdapter();
  const device = await adapter!.requestDevice({ requiredFeatures: ["subgroups"] });
  const { description, vendor } = device.adapterInfo;
  Object.defineProperty(device, "adapterInfo", { value: { description, vendor } });
  const gpu = await Gpu.from(device);
  assertEquals(gpu.profile.subgroupSize, 4);
  gpu.destroy();
});

Deno.test("gpu: messages of refusals are bounded, whatever was to be done", async () => {
  const gpu = await sharedGpu();
  const label = "long ".repeat(1e5);
  const refused = [
    gpu.guard(label, () => gpu.device.createBuffer({ label, size: 4, usage: 0x4000_0000 })),
    Tensor.empty(gpu, [0], { label }),
    Tensor.upload(gpu, { data: ["x" as never], shape: [1] }, { label }),
  ];
  for (const result of await Promise.allSettled(refused)) {
    assert(result.status === "rejected");
    assert(result.reason.message.length <= 2000, `${result.reason.message.length} characters`);
  }
});
