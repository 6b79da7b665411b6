// AdamW and clipping against float64.
import { assertEquals, assertGreater, assertThrows } from "@std/assert";
import { adamwStep } from "../../src/reference/adamw.ts";
import { AdamW, fillInAdamW } from "../../src/train/optimizer.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { assertNear, assertSame } from "../support/compare.ts";
import { sharedGpu } from "../support/gpu.ts";
import { gpuWithoutNan } from "../support/non_finite.ts";
import { testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";

/** More than a chunk of squares, a matrix, and a row of one. */
const SHAPES = [[131, 130], [7, 5], [1]];
const OPTIONS = { beta1: 0.8, beta2: 0.9, eps: 1e-6, decay: 0.3 };

testRandomly("AdamW: steps with decay, large gradients and small ones", async (random) => {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const hosts = SHAPES.map((shape) => random.tensor(shape));
  const zeros = ({ data }: { data: Float32Array }) => new Float64Array(data.length);
  const expected = hosts.map((host) => ({
    ...{ w: Float64Array.from(host.data), m: zeros(host), v: zeros(host) },
  }));
  const weights = [];
  for (const host of hosts) weights.push(await tensors.upload(host));
  const clip = 3;
  const adamw = tensors.keep(await AdamW.create(gpu, weights, { ...OPTIONS, clip }));
  for (let step = 1; step <= 4; step++) {
    // Above the norm that is allowed at first, below it later.
    const size = 10 ** (2 - 2 * step);
    const gradients = hosts.map(({ shape }) => random.tensor(shape).data.map((x) => size * x));
    gradients.forEach((gradient, n) =>
      gpu.device.queue.writeBuffer(adamw.parameters[n].gradient.buffer, 0, gradient)
    );
    const rate = 0.1 / step;
    await submit((encoder) => adamw.encode(encoder, step, rate));
    const doubles = gradients.map((gradient) => Float64Array.from(gradient));
    adamwStep(expected, doubles, { ...OPTIONS, clip, step, rate, decay: [0.3, 0.3, 0] });
    for (const [n, { w, gradient, m, v }] of adamw.parameters.entries()) {
      const what = `step ${step}, parameter ${n}`;
      assertNear(await w.download(), expected[n].w, `w, ${what}`);
      assertNear(await m.download(), expected[n].m, `m, ${what}`);
      assertNear(await v.download(), expected[n].v, `v, ${what}`);
      assertSame(await gradient.download(), gradients[n].map(() => 0), `gradient, ${what}`);
    }
    const [norm, factor] = await adamw.clipping.download();
    const wanted = Math.sqrt(doubles.flatMap((g) => [...g]).reduce((sum, x) => sum + x * x, 0));
    assertNear([norm, factor], [wanted, Math.min(1, clip / wanted)], "norm");
  }
});

Deno.test("AdamW: a gradient that is not finite changes nothing, and shows", async () => {
  const { gpu: assuming } = await gpuWithoutNan();
  for (const gpu of [await sharedGpu(), assuming]) {
    for (const bad of [NaN, Infinity]) {
      using tensors = new Tensors();
      const w = tensors.keep(await Tensor.upload(gpu, { data: [1, 2], shape: [2] }));
      const other = tensors.keep(await Tensor.upload(gpu, { data: [3], shape: [1] }));
      const adamw = tensors.keep(await AdamW.create(gpu, [w, other]));
      const [{ gradient, m, v }] = adamw.parameters;
      const step = (gradients: number[]) => {
        gpu.device.queue.writeBuffer(gradient.buffer, 0, new Float32Array(gradients));
        const encoder = gpu.device.createCommandEncoder();
        adamw.encode(encoder, 1, 0.1);
        gpu.device.queue.submit([encoder.finish()]);
      };
      step([0, bad]);
      assertEquals([...await w.download(), ...await other.download()], [1, 2, 3]);
      assertEquals([...await m.download(), ...await v.download()], [0, 0, 0, 0]);
      assertEquals([...await gradient.download()], [0, 0]);
      assertEquals(Number.isFinite((await adamw.clipping.download())[0]), false);

      step([1, 1]);
      assertGreater(1, (await w.download())[0]);
    }
  }
  assuming.destroy();
});

Deno.test("AdamW: numbers out of range are refused, those at its ends are taken", () => {
  const bad = [
    ...[{ eps: 0 }, { eps: 1e-46 }, { clip: 0 }, { clip: -1 }, { decay: -1e-9 }],
    ...[{ beta1: -0.1 }, { beta1: 1 }, { beta2: 1 - 1e-17 }, { beta2: 1.5 }],
  ];
  for (const options of bad) {
    const [[name, value]] = Object.entries(options);
    assertThrows(() => fillInAdamW("test", options), RangeError, `${name}=${value}`);
  }
  for (const name of ["eps", "clip", "decay", "beta1", "beta2"]) {
    assertThrows(() => fillInAdamW("test", { [name]: "1" }), TypeError, `${name}="1"`);
  }
  const least = { eps: 1e-37, clip: 1e-37, decay: 0, beta1: 0, beta2: 0 };
  assertEquals(fillInAdamW("test", least), least);
});
