// A worker of the fleet: what `deno run worker` is, over the model of the fleet, and it tells of its steps.
import { startEngineService } from "../../cli/shared/cluster/engine_service.ts";
import { BatchEngine } from "../../cli/shared/generation/batch_engine.ts";
import { stepTimeOf } from "../../bench/serving/measure.ts";
import { Gpu } from "../../mod.ts";
import { natsOf } from "../../src/cluster/cluster.ts";
import { connect } from "../../src/cluster/mod.ts";
import { Batch, randomWeights } from "../../src/model/mod.ts";
import { BATCH, FLEET, MAX_QUEUE, MODEL, STEPS } from "./model.ts";

if (import.meta.main) {
  const cluster = { connection: await connect({ servers: Deno.args[0] }), prefix: FLEET };
  const nats = natsOf(cluster);
  const batch = await Batch.create(await Gpu.open(), MODEL, randomWeights(MODEL), {
    ...{ ...BATCH, maxTokens: MODEL.contextLen },
    onSteps: ({ steps, milliseconds }) => {
      nats.publish(STEPS, JSON.stringify(stepTimeOf(steps, milliseconds)));
    },
  });
  await runEverySize(batch);
  const engine = new BatchEngine(batch);
  await startEngineService(cluster, () => engine, {
    ...{ fingerprint: FLEET, contextLen: MODEL.contextLen, maxQueue: MAX_QUEUE },
  });
  console.log(batch.stats.pages.total);
}

/** Runs steps of every size, so that no kernel is compiled while requests are measured. */
async function runEverySize(batch: Batch): Promise<void> {
  const run = async (tokens: number[], maxTokens: number) => {
    for await (const _ of batch.add({ tokens, maxTokens }));
  };
  const { maxSequences, maxStepTokens } = BATCH;
  // Batches round sizes up by less than an eighth of them. Prompts that begin alike would make smaller steps.
  for (let size = 1; size <= maxStepTokens; size += Math.max(1, size >> 3)) {
    await run(Array(size).fill(size), 1);
  }
  const sequences = Array.from({ length: maxSequences }, (_, i) => i + 1);
  await Promise.all(sequences.map((i) => run([maxStepTokens + i], BATCH.stepsPerRead * i)));
}
