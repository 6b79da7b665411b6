/** Workers at a NATS server, in the place of an engine of this machine. */
import { natsOf } from "../../src/cluster/cluster.ts";
import { modelFingerprint } from "../../src/cluster/mod.ts";
import { ClusterEngine } from "../shared/cluster/cluster_engine.ts";
import { openCluster, unserved } from "../shared/cluster/connect.ts";
import type { ClusterOptions } from "../shared/cluster/options.ts";
import type { Engine } from "../shared/generation/engine.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";

/** Finds the workers of a model, and says how many there are. */
export async function openGateway(
  { checkpoint: { spec, weights }, tokenizer }: Model,
  options: ClusterOptions,
  out: Out,
): Promise<{ current: () => Engine; failed: Promise<never>; destroy: () => Promise<void> }> {
  const cluster = await openCluster("serve", options);
  try {
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    const { contextLen, vocabSize } = spec;
    const engine = await ClusterEngine.open(cluster, { fingerprint, contextLen, vocabSize });
    out.error(`Workers of model ${fingerprint} at ${options.url}: ${engine.workers}`);
    const destroy = async () => {
      engine.destroy();
      await cluster.connection.close();
    };
    const failed = unserved("serve", cluster, natsOf(cluster).closed());
    // The end of the connection is told to whoever waits for it, and is none where the gateway itself ends.
    failed.catch(() => {});
    return { current: (): Engine => engine, failed, destroy };
  } catch (error) {
    await cluster.connection.close();
    throw error;
  }
}
