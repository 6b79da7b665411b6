/** `bench shards`: attention over shards that meet at a NATS server, beside one device. */
import { openCluster } from "../../cli/shared/cluster/connect.ts";
import { startNatsServer } from "../../cli/shared/cluster/nats_server.ts";
import type { ClusterOptions } from "../../cli/shared/cluster/options.ts";
import { Files } from "../../cli/shared/files.ts";
import { renderSvg } from "../../cli/shared/report/svg.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import type { Cluster } from "../../src/cluster/mod.ts";
import { adapterOf } from "../adapter.ts";
import { measureRoofline } from "../roofline.ts";
import { shardsFigure } from "./figure.ts";
import { measureShards } from "./measure.ts";
import { ACTION, parseShardsOptions, type ShardsBenchOptions } from "./options.ts";
import { ratesOf, rowOf, type ShardRow, shardsFrom, type ShardsReport } from "./result.ts";
import { formatShards } from "./table.ts";

const files = new Files(ACTION);

/** Makes a connection to the server that shards meet at; its caller closes it. */
type Join = () => Promise<Cluster>;

/** Runs the command and returns its exit code, which is 1 also where a row is wrong. */
export async function runShards(args: readonly string[], out: Out): Promise<number> {
  let rows: readonly ShardRow[] = [];
  const code = await exitCodeOf(async () => {
    const options = parseShardsOptions(args);
    if (typeof options === "string") return out.log(options);
    const { json, svg } = options;
    await files.checkWritable(json, svg);
    const report = await withServer(options.cluster, (join) => measureAll(join, options, out));
    rows = report.rows;
    out.log(formatShards(report));
    if (json) await files.write(json, JSON.stringify(report, null, 2) + "\n");
    if (svg) await files.write(svg, await renderSvg(shardsFigure(report)));
  }, out);
  return code === 0 && rows.some(({ failure }) => failure) ? 1 : code;
}

/** Measures every context. */
async function measureAll(
  join: Join,
  { shape, contextLens, effort }: ShardsBenchOptions,
  out: Pick<Out, "progress">,
): Promise<ShardsReport> {
  const gpu = await Gpu.open();
  try {
    using progress = out.progress(1 + contextLens.length);
    progress.step("roofline of the adapter");
    const roofline = await measureRoofline(gpu, effort);
    const adapter = adapterOf(gpu);
    const rates = ratesOf(roofline, adapter);
    const rows = [];
    for (const contextLen of contextLens) {
      progress.step(`${contextLen} tokens`);
      const measured = await withConnections(
        join,
        (join) => measureShards(gpu, join, { shape, contextLen, effort }),
      );
      rows.push(rowOf(measured, shape, rates));
    }
    const from = shardsFrom(rows, shape, rates);
    return { schema: 1, adapter, roofline, shape, rows, from };
  } finally {
    gpu.destroy();
  }
}

/** Uses the server that is named, or one that is started on loopback and ends with the use. */
async function withServer<Value>(
  named: ClusterOptions | undefined,
  use: (join: Join) => Promise<Value>,
): Promise<Value> {
  if (named) {
    const join = () => openCluster(ACTION, named);
    // A server that does not answer is told before anything is measured.
    await withConnections(join, (join) => join());
    return await use(join);
  }
  const { url, kill } = await startNatsServer(ACTION);
  try {
    // Nobody is to be known to a server of one's own.
    return await use(() => openCluster(ACTION, { url, prefix: "onehead" }, () => undefined));
  } finally {
    await kill();
  }
}

/** Closes at the end all connections that were made. */
async function withConnections<Value>(
  join: Join,
  use: (join: Join) => Promise<Value>,
): Promise<Value> {
  await using made = new AsyncDisposableStack();
  return await use(async () => {
    const cluster = await join();
    made.defer(() => cluster.connection.close());
    return cluster;
  });
}
