/** Workers at a NATS server, in the place of an engine of this machine. */
import { modelFingerprint } from "../../src/cluster/mod.ts";
import { ClusterEngine } from "../shared/cluster/cluster_engine.ts";
import { openCluster } from "../shared/cluster/connect.ts";
import type { ClusterOptions } from "../shared/cluster/options.ts";
import type { Engine } from "../shared/generation/engine.ts";
import type { Model } from "../shared/model_files.ts";
import type { Out } from "../shared/run.ts";

/** Finds the workers of a model, and says how many there are. */
export async function openGateway(
  { checkpoint: { spec, weights }, tokenizer }: Model,
  options: ClusterOptions,
  out: Out,
): Promise<{ current: () => Engine; destroy: () => Promise<void> }> {
  const cluster = await openCluster("serve", options);
  try {
    const fingerprint = await modelFingerprint(spec, weights, tokenizer);
    const { contextLen } = spec;
    const engine = await ClusterEngine.open(cluster, { fingerprint, contextLen });
    out.error(`Workers of model ${fingerprint} at ${options.url}: ${engine.workers}`);
    const destroy = async () => {
      engine.destroy();
      await cluster.connection.close();
    };
    return { current: (): Engine => engine, destroy };
  } catch (error) {
    await cluster.connection.close();
    throw error;
  }
}
