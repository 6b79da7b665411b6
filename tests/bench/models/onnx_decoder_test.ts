// Decoders as ONNX models, run by the operators' definitions beside the reference decoder.
import { assert, assertEquals, assertRejects } from "@std/assert";
import { cachesOf, NAMES, onnxDecoder } from "../../../bench/models/onnx_decoder.ts";
import { type DecoderSpec, ReferenceDecoder } from "../../../src/model/mod.ts";
import { weightsOf } from "../../support/models.ts";
import { runGraph, type Tensor64, tensorOf } from "../../support/onnx_graph.ts";
import { type Random, testRandomly } from "../../support/random.ts";

const CAPACITY = 12;
const BASE: DecoderSpec = {
  ...{ vocabSize: 23, dim: 12, hiddenDim: 10, numHeads: 4, numKvHeads: 2, headDim: 6 },
  contextLen: CAPACITY,
  layers: [{ rope: {} }, { rope: {} }],
  norm: { kind: "rms", eps: 1e-5 },
  ...{ activation: "silu", isGated: true, isParallel: false },
};

/** Feeds a prompt and then one more token to both, in two sequences, and compares all logits behind them. */
async function check(random: Random, spec: DecoderSpec, has: readonly string[]): Promise<void> {
  const weights = weightsOf(spec, random, has);
  const graph = await onnxDecoder({ spec, weights }, CAPACITY);
  const reference = await ReferenceDecoder.create(spec, weights);
  const fed = Array.from(
    { length: 2 },
    () => Array.from({ length: 8 }, () => random.integer(0, spec.vocabSize - 1)),
  );
  const shape = [2, spec.numKvHeads, CAPACITY, spec.headDim];
  const caches = spec.layers.flatMap((_, layer) => cachesOf(layer));
  // What is not written must not be read.
  const poison = tensorOf(shape, new Float64Array(shape.reduce((a, b) => a * b)).fill(NaN));
  let past = Object.fromEntries(caches.map(({ past }) => [past, poison]));
  for (const [from, to] of [[0, 7], [7, 8]]) {
    const inputs: Record<string, Tensor64> = {
      [NAMES.tokens]: tensorOf([2, to - from], fed.flatMap((row) => row.slice(from, to))),
      [NAMES.lastPositions]: tensorOf([2], [to - 1, to - 1]),
      [NAMES.length]: tensorOf([1], [to]),
      ...past,
    };
    if (spec.headDim % 16 !== 0 && spec.layers[0].rope) {
      inputs[NAMES.offset] = tensorOf([1], [from]);
    }
    if (has.includes("positions.weight")) {
      const positions = Array.from({ length: to - from }, (_, i) => from + i);
      inputs[NAMES.positions] = tensorOf([to - from], positions);
    }
    assertEquals(graph.inputs.map(({ name }) => name).sort(), Object.keys(inputs).sort());
    const tensors = runGraph(graph, inputs);
    past = Object.fromEntries(caches.map(({ past, present }) => [past, tensors.get(present)!]));

    const next = tensors.get(NAMES.next)!;
    assertEquals(next.shape, [2, 1]);
    const likeliest = graph.nodes.find(({ op }) => op === "ArgMax")!;
    const logits = tensors.get(likeliest.inputs[0]!.name)!;
    assertEquals(logits.shape, [2, 1, spec.vocabSize]);
    fed.forEach((row, sequence) => {
      const all = reference.forward(row.slice(0, to)).logits;
      const expected = all.subarray(all.length - spec.vocabSize);
      assertEquals(next.data[sequence], expected.indexOf(Math.max(...expected)));
      expected.forEach((value, token) => {
        const error = Math.abs(value - logits.data[sequence * spec.vocabSize + token]);
        assert(error < 1e-5, `logit ${token} is off by ${error}`);
      });
    });
  }
}

testRandomly("bench models: a Llama as ONNX, of adjacent pairs too", async (random) => {
  // Heads of 16 are rotated within attention, others before it.
  for (const headDim of [6, 16]) await check(random, { ...BASE, headDim }, []);
  await check(random, { ...BASE, layers: [{ rope: { style: "pairs", base: 500 } }] }, []);
});

testRandomly(
  "bench models: a Gemma 3 as ONNX, its windows and two kinds of positions",
  async (random) => {
    const layers = [{ rope: {}, window: 3 }, { rope: { base: 1e6 } }, { rope: {}, window: 3 }];
    const spec: DecoderSpec = { ...BASE, layers, activation: "geluTanh", scale: 0.3 };
    const norms = [
      "qNorm.weight",
      "kNorm.weight",
      "postAttentionNorm.weight",
      "postMlpNorm.weight",
    ];
    for (const headDim of [6, 16]) {
      await check(random, { ...spec, headDim, embeddingScale: 3 }, [...norms, "classifier.weight"]);
    }
  },
);

testRandomly(
  "bench models: a StarCoder as ONNX, its biases and learned positions",
  async (random) => {
    const spec: DecoderSpec = {
      ...{ ...BASE, layers: [{}, {}], isGated: false, activation: "gelu" },
      ...{ numKvHeads: 1, norm: { kind: "layer", eps: 1e-5 } },
    };
    await check(random, spec, ["positions.weight", "bias"]);
  },
);

testRandomly("bench models: what the operators cannot say is refused", async (random) => {
  const refused = async (changes: Partial<DecoderSpec>, message: string) => {
    const spec = { ...BASE, ...changes };
    const source = { spec, weights: weightsOf(spec, random) };
    await assertRejects(() => onnxDecoder(source, CAPACITY), RangeError, message);
  };
  await refused({ isParallel: true }, "sequential");
  await refused({ alibiSlopes: [1, 2, 3, 4] }, "sequential");
  await refused({ layers: [{ rope: { dims: 4 } }] }, "whole heads");
});
