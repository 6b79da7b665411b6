// The gradient of a whole decoder against differences of the float64 decoder.
import { assertEquals } from "@std/assert";
import { type DecoderSpec, ReferenceDecoder } from "../../src/model/mod.ts";
import type { DecoderWeights } from "../../src/model/weights.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { crossEntropy } from "../../src/reference/loss.ts";
import { Network } from "../../src/train/network.ts";
import { Objective } from "../../src/train/objective.ts";
import { Parameters } from "../../src/train/parameters.ts";
import { Tensor } from "../../mod.ts";
import { assertNear } from "../support/compare.ts";
import { doubles, inner } from "../support/differences.ts";
import { sharedGpu } from "../support/gpu.ts";
import { type Random, testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";
import { TRAINED, trainedWeights } from "../support/trained.ts";

const SHAPE = { batch: 2, seqLen: 7 };
const NUM_TOKENS = SHAPE.batch * SHAPE.seqLen;

interface Drawn {
  spec: DecoderSpec;
  weights: DecoderWeights;
  inputs: number[];
  labels: number[];
}

/** Gradients of the mean cross-entropy by every weight, and the loss, on the GPU. */
async function gradientsOf({ spec, weights, inputs, labels }: Drawn, keepsActivations: boolean) {
  const gpu = await sharedGpu();
  using tensors = new Tensors();
  const owned = tensors.keep(new Owned());
  const parameters = await Parameters.upload(gpu, owned, "test", spec, weights);
  const gradients = [];
  for (const { shape } of parameters.tensors.values()) {
    gradients.push(owned.keep(await Tensor.empty(gpu, shape)));
  }
  parameters.setGradients(gradients);
  const tokens = await tensors.upload({ data: inputs, shape: [NUM_TOKENS] }, "u32");
  const options = { tokens, keepsActivations };
  const network = await Network.create(gpu, owned, spec, SHAPE, parameters, options);
  const gradient = await network.gradient();
  const objective = await Objective.create(gpu, owned, {
    ...{ logits: network.logits, dLogits: gradient.dLogits, accumulate: 1 },
  });
  gpu.device.queue.writeBuffer(objective.labels.buffer, 0, Uint32Array.from(labels));
  gradient.write(inputs);
  await submit((encoder) => {
    for (const work of [network.forward, objective.work, gradient.work]) work.encode(encoder);
    objective.keepLosses(encoder, 0);
  });
  const names = [...parameters.tensors.keys()];
  const downloaded = await Promise.all(gradients.map((tensor) => tensor.download()));
  const byName = new Map(names.map((name, i) => [name, downloaded[i]]));
  return { loss: await objective.loss(), gradients: byName };
}

/** The same loss in float64, of weights that are moved along directions. */
async function lossOf(
  { spec, weights, inputs, labels }: Drawn,
  directions: ReadonlyMap<string, Float64Array> = new Map(),
  step = 0,
): Promise<number> {
  const moved: DecoderWeights = {
    has: (name) => weights.has(name),
    read: async (name) => {
      const { data, shape } = await weights.read(name);
      const direction = directions.get(name);
      const values = Float64Array.from(data, (value, i) => value + step * (direction?.[i] ?? 0));
      return { data: values as unknown as Float32Array, shape };
    },
  };
  const decoder = await ReferenceDecoder.create(spec, moved);
  let sum = 0;
  for (let start = 0; start < NUM_TOKENS; start += SHAPE.seqLen) {
    const end = start + SHAPE.seqLen;
    const { logits } = decoder.forward(inputs.slice(start, end));
    const { losses } = crossEntropy(logits, labels.slice(start, end), spec);
    sum += losses.reduce((total, value) => total + value, 0);
  }
  return sum / NUM_TOKENS;
}

function draw(random: Random, name: string): Drawn {
  const spec = TRAINED[name];
  const tokens = () =>
    Array.from({ length: NUM_TOKENS }, () => random.integer(0, spec.vocabSize - 1));
  const weights = trainedWeights(name, random.integer(0, 1e6));
  return { spec, weights, inputs: tokens(), labels: tokens() };
}

for (const name of Object.keys(TRAINED)) {
  testRandomly(`Network: the gradient by every weight, ${name}`, async (random) => {
    const drawn = draw(random, name);
    const { loss, gradients } = await gradientsOf(drawn, true);
    assertNear([loss], [await lossOf(drawn)], "loss");
    for (const [weight, gradient] of gradients) {
      const direction = doubles(random, gradient.length);
      const at = (step: number) => lossOf(drawn, new Map([[weight, direction]]), step);
      const step = 1e-4;
      const slope = (await at(step) - await at(-step)) / (2 * step);
      // A slope may be small by chance; the length of the gradient is what f32 rounds. That of a bias of keys without positions
      // is zero, as all scores of a row move alike.
      const size = Math.max(1e-3, Math.sqrt(inner(gradient, gradient)));
      assertNear([inner(gradient, direction)], [slope], weight, { size });
    }
    const all = new Map(
      [...gradients].map(([name, { length }]) => [name, doubles(random, length)]),
    );
    const slope = (await lossOf(drawn, all, 1e-4) - await lossOf(drawn, all, -1e-4)) / 2e-4;
    const said = [...gradients].reduce((sum, [name, g]) => sum + inner(g, all.get(name)!), 0);
    assertNear([said], [slope], "all at once", { size: Math.max(1, Math.abs(slope)) });
  });

  testRandomly(`Network: layers computed anew give the same bits, ${name}`, async (random) => {
    const drawn = draw(random, name);
    const kept = await gradientsOf(drawn, true);
    const anew = await gradientsOf(drawn, false);
    assertEquals(anew, kept);
  });
}
