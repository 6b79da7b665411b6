// The dispatches of a step: projections normalise their input themselves.
import { assertEquals } from "@std/assert";
import { PagedKvCache, PagePool } from "../../mod.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { normalisesInput } from "../../src/layer/linear.ts";
import { blockTensors } from "../../src/model/block.ts";
import { Model } from "../../src/model/model.ts";
import { PagedPasses } from "../../src/model/paged_passes.ts";
import { bindLayers, finalNormRows, type Pass } from "../../src/model/passes.ts";
import { RingLayers } from "../../src/model/ring_layers.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { Tensor } from "../../src/tensor/tensor.ts";
import { buffersOf } from "../support/buffers.ts";
import { sharedGpu } from "../support/gpu.ts";
import { TINY, weightsOf } from "../support/models.ts";
import { PROFILES } from "../support/plan.ts";
import { type Random, testRandomly } from "../support/random.ts";

/** Sizes of which no two are the same, as modules that are share a pipeline and its name. */
const SMALL: DecoderSpec = {
  ...{ ...TINY, isGated: true, layers: [{ rope: {} }, { rope: {} }] },
  ...{ dim: 8, hiddenDim: 12, numHeads: 5, numKvHeads: 1, headDim: 4 },
};

const STEP = ["project qkv", "append", "rope queries", "attend", "project o", "up", "down"];

/** The kernels of each layer. */
function kernelsOf(
  { work: { dispatches } }: Pass,
  { layers: { length } }: DecoderSpec,
): string[][] {
  const [embed, ...labels] = dispatches.map(({ kernel: { label } }) =>
    label.replace(/layers\.\d+\./, "")
  );
  assertEquals(embed, "embed");
  const each = labels.length / length;
  return Array.from({ length }, (_, i) => labels.slice(i * each, (i + 1) * each));
}

async function withModel(
  { spec, random, has }: { spec: DecoderSpec; random: Random; has?: readonly string[] },
  use: (model: Model, owned: Owned) => Promise<void>,
): Promise<void> {
  const gpu = await sharedGpu();
  await Owned.use(async (owned) => {
    const weights = weightsOf(spec, random, has);
    await use(owned.keep(await Model.create("test", gpu, spec, weights, {})), owned);
  });
}

/** The kernels of so many tokens of one sequence. */
async function ofSequence(model: Model, owned: Owned, numTokens: number): Promise<string[][]> {
  const { gpu, spec } = model;
  const rings = await RingLayers.create(model, owned, { maxTokens: 64, maxSeqLen: numTokens });
  const tokens = owned.keep(await Tensor.empty(gpu, [numTokens], { dtype: "u32" }));
  const { lengthsBuffer } = rings.first;
  const pass = await bindLayers(model, {
    embed: (h) => Promise.resolve(model.embedding.bind(tokens, h, lengthsBuffer)),
    attend: rings.bind,
  }, await blockTensors(gpu, owned, spec, numTokens));
  return kernelsOf(pass, spec);
}

testRandomly("Decoder: a step is 7 dispatches a layer", async (random) => {
  for (const kind of ["rms", "layer"] as const) {
    const spec: DecoderSpec = { ...SMALL, norm: { kind, eps: 1e-6 } };
    await withModel({ spec, random, has: ["Norm.bias"] }, async (model, owned) => {
      assertEquals(await ofSequence(model, owned, 1), [STEP, STEP], kind);
    });
  }
});

testRandomly("Decoder: a step of parallel layers has no more", async (random) => {
  const spec: DecoderSpec = { ...SMALL, isParallel: true };
  const [up, ...others] = ["up", ...STEP.filter((label) => label !== "up")];
  for (const has of [[], ["mlpNorm.weight"]]) {
    await withModel({ spec, random, has }, async (model, owned) => {
      assertEquals(await ofSequence(model, owned, 1), [[up, ...others], [up, ...others]]);
    });
  }
});

testRandomly("Decoder: norms of heads and of what is added make a layer 9", async (random) => {
  const has = ["qNorm.weight", "kNorm.weight", "postAttentionNorm.weight", "postMlpNorm.weight"];
  await withModel({ spec: SMALL, random, has }, async (model, owned) => {
    const [qkv, append, , attend, o, up, down] = STEP;
    const kernels = [qkv, "norm heads", append, attend, o, "norm", up, down, "norm"];
    for (const numTokens of [1, 5]) {
      assertEquals(await ofSequence(model, owned, numTokens), [kernels, kernels]);
    }
  });
});

testRandomly("Decoder: a norm of queries or of keys alone is one more", async (random) => {
  const [qkv, append, rope, attend, o, up, down] = STEP;
  const kernels = [qkv, "norm", append, rope, attend, o, up, down];
  for (const has of [["qNorm.weight"], ["kNorm.weight"]]) {
    await withModel({ spec: SMALL, random, has }, async (model, owned) => {
      assertEquals(await ofSequence(model, owned, 1), [kernels, kernels]);
    });
  }
});

testRandomly("Decoder: a chunk of a prompt is 7 dispatches a layer", async (random) => {
  for (const kind of ["rms", "layer"] as const) {
    const spec: DecoderSpec = { ...SMALL, norm: { kind, eps: 1e-6 }, contextLen: 64 };
    await withModel({ spec, random, has: ["Norm.bias"] }, async (model, owned) => {
      assertEquals(await ofSequence(model, owned, 5), [STEP, STEP], kind);
      // Attention of longer chunks may bring its inputs to textures first.
      const layers = await ofSequence(model, owned, 33);
      const others = layers.map((labels) =>
        labels.filter((label) => !label.startsWith("fill texels"))
      );
      assertEquals(others, [STEP, STEP], kind);
    });
  }
});

Deno.test("Linear: on GPUs as many tokens as batches have are normalised by projections", () => {
  for (const [numTokens, ofGpu] of [[1, true], [64, true], [65, false], [4096, false]] as const) {
    assertEquals(normalisesInput(PROFILES["a GPU"], numTokens), ofGpu, `${numTokens} tokens`);
    assertEquals(normalisesInput(PROFILES.software, numTokens), true, `${numTokens} tokens`);
  }
});

testRandomly("Decoder: what norms write is allocated only for other readers", async (random) => {
  await withModel({ spec: SMALL, random }, async (model, owned) => {
    const { gpu, spec } = model;
    const inputs = ["attention input", "mlp input", "final norm"];
    for (const keepsInputs of [false, true]) {
      const { made } = await buffersOf(async () => {
        const { h } = await blockTensors(gpu, owned, spec, 5, { keepsInputs });
        await finalNormRows(owned, h);
      });
      const written = made.filter((label) => inputs.includes(label));
      assertEquals(written, keepsInputs ? ["attention input", "mlp input"] : []);
    }
  });
});

testRandomly("Batch: a step is 7 dispatches a layer", async (random) => {
  await withModel({ spec: SMALL, random }, async (model, owned) => {
    const { gpu, spec: { numKvHeads, headDim } } = model;
    const shape = { layers: 2, numKvHeads, headDim, numPages: 8, pageSize: 4 };
    const pool = owned.keep(await PagePool.create(gpu, shape));
    const cache = owned.keep(
      await PagedKvCache.create(pool, { batch: 4, capacity: 8, rope: {} }),
    );
    const options = { maxStepTokens: 32, windowOf: () => undefined };
    const passes = await PagedPasses.create(model, owned, cache, options);
    const ofStep = async (numTokens: number) =>
      kernelsOf(
        await passes.layers({ numTokens, numSequences: numTokens <= 4 ? numTokens : 1 }),
        SMALL,
      );
    for (const numTokens of [1, 4, 32]) assertEquals(await ofStep(numTokens), [STEP, STEP]);
  });
});

testRandomly(
  "Batch: software brings keys to textures where many new tokens see each",
  async (random) => {
    const spec = { ...SMALL, numHeads: 4, headDim: 20 };
    await withModel({ spec, random }, async (model, owned) => {
      const { gpu, spec: { numKvHeads, headDim } } = model;
      const shape = { layers: 2, numKvHeads, headDim, numPages: 8, pageSize: 16 };
      const pool = owned.keep(await PagePool.create(gpu, shape));
      const cache = owned.keep(await PagedKvCache.create(pool, { batch: 4, capacity: 64 }));
      const options = { maxStepTokens: 64, windowOf: () => undefined };
      const passes = await PagedPasses.create(model, owned, cache, options);
      const fillsOf = async (numTokens: number, numSequences: number) => {
        const layers = kernelsOf(await passes.layers({ numTokens, numSequences }), spec);
        return layers.map((labels) => labels.filter((label) => label.startsWith("fill")).length);
      };
      const { isSoftware, subgroupSize } = gpu.profile;
      const fills = isSoftware && subgroupSize !== 4 ? [3, 3] : [0, 0];
      assertEquals(await fillsOf(16, 1), fills);
      assertEquals(await fillsOf(64, 4), fills);
      // 4 rows of a head for each token: tiles of 16 rows, four to a key.
      for (const [tokens, sequences] of [[15, 1], [63, 4], [4, 4]]) {
        assertEquals(await fillsOf(tokens, sequences), [0, 0], `${tokens} of ${sequences}`);
      }
      // Of a layer whose window few tiles read, in front of one that sees all, the second alone has textures.
      const windowOf = (layer: number) => layer === 0 ? 2 : undefined;
      const mixed = await PagedPasses.create(model, owned, cache, { ...options, windowOf });
      const { work } = await mixed.layers({ numTokens: 64, numSequences: 4 });
      const filled = work.dispatches.filter(({ kernel }) => kernel.label.startsWith("fill"));
      assertEquals(filled.length, fills[1]);
    });
  },
);
