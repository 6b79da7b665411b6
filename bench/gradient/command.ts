/** `bench gradient`: the gradients of attention, ours and those of others. */
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import { jaxJs } from "../peers/jax_js.ts";
import { loadPeer } from "../peers/mod.ts";
import { tfjs } from "../peers/tfjs.ts";
import { type GradientResult, measureGradient } from "./measure.ts";
import { type GradientBenchOptions, parseGradientOptions } from "./options.ts";
import { formatGradients } from "./table.ts";

const files = new Files("time gradients");

/** Runs the command and returns its exit code, which is 1 also where a row of ours is wrong. */
export async function runGradient(args: readonly string[], out: Out): Promise<number> {
  let rows: readonly GradientResult[] = [];
  const code = await exitCodeOf(async () => {
    const options = parseGradientOptions(args);
    if (typeof options === "string") return out.log(options);
    const { json } = options;
    await files.checkWritable(json);
    const gpu = await Gpu.open();
    try {
      rows = await measureAll(gpu, options, out);
      const { description, isSoftware } = gpu.description;
      out.log(`Adapter   ${description}\n`);
      out.log(formatGradients(rows));
      if (!json) return;
      const report = { schema: 1, adapter: { description, isSoftware }, rows };
      await files.write(json, JSON.stringify(report, null, 2) + "\n");
    } finally {
      gpu.destroy();
    }
  }, out);
  const isWrong = rows.some(({ system, failure }) => system === "onehead" && failure);
  return code === 0 && isWrong ? 1 : code;
}

/** Measures every case, ours and those of others. */
async function measureAll(
  gpu: Gpu,
  { cases, peers, effort }: GradientBenchOptions,
  out: Pick<Out, "progress">,
): Promise<GradientResult[]> {
  using progress = out.progress(Number(peers) + cases.length);
  if (peers) progress.step("loading jax-js and tfjs");
  const others = peers ? [await loadPeer(jaxJs), await loadPeer(tfjs)] : [];
  const rows = [];
  for (const one of cases) {
    progress.step(`${one.tokens} tokens, ${one.numHeads} over ${one.numKvHeads} heads`);
    rows.push(...await measureGradient(gpu, one, others, effort));
  }
  return rows;
}
