import { assertEquals, assertRejects } from "@std/assert";
import { openCheckpoint, withMergedKvHeads } from "../../src/checkpoints/mod.ts";
import { weightShapes } from "../../src/model/weight_shapes.ts";
import { withModel } from "../support/commands.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";

testRandomly(
  "withMergedKvHeads(): a checkpoint of fewer heads, whose other weights are the file's",
  async (random) => {
    const gpu = await sharedGpu();
    await withModel(random, async ({ model }) => {
      const checkpoint = await openCheckpoint(model);
      const calibration = Array.from(
        { length: 8 },
        () => Array.from({ length: 12 }, () => random.integer(0, checkpoint.spec.vocabSize - 1)),
      );
      const done: string[] = [];
      const progress = (layers: number, of: number) => void done.push(`${layers}/${of}`);
      const options = { kvHeads: 1, calibration, progress };
      const merged = await withMergedKvHeads(gpu, checkpoint, options);
      assertEquals(done, ["1/2", "2/2"]);
      assertEquals([merged.spec.numKvHeads, merged.report.length], [1, 2]);
      for (const { name, shape, isOptional } of weightShapes(merged.spec)) {
        assertEquals(merged.weights.has(name), checkpoint.weights.has(name));
        if (isOptional && !merged.weights.has(name)) continue;
        const weight = await merged.weights.read(name);
        assertEquals(weight.shape, shape);
        if (/\.(q|k|v|o|down)\.weight$/.test(name)) continue;
        assertEquals(weight, await checkpoint.weights.read(name));
      }
      await assertRejects(
        () => withMergedKvHeads(gpu, checkpoint, { ...options, kvHeads: 3 }),
        RangeError,
        "from=2, to=3",
      );
      await merged.close();
      await assertRejects(() => checkpoint.weights.read("embedding.weight"));
    });
  },
);
