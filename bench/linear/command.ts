/** `bench linear`: the projections of models, which attention stands between. */
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import type { Roofline } from "../result.ts";
import { measureRoofline } from "../roofline.ts";
import { type LinearResult, measureLinear } from "./measure.ts";
import { type LinearBenchOptions, parseLinearOptions } from "./options.ts";
import { formatLinear } from "./table.ts";

const files = new Files("time projections");

/** Runs the command and returns its exit code, which is 1 also where a row is wrong. */
export async function runLinear(args: readonly string[], out: Out): Promise<number> {
  let rows: readonly LinearResult[] = [];
  const code = await exitCodeOf(async () => {
    const options = parseLinearOptions(args);
    if (typeof options === "string") return out.log(options);
    const { dtypes, json } = options;
    await files.checkWritable(json);
    const gpu = await Gpu.open();
    try {
      const possible = dtypes.filter((dtype) => dtype !== "f16" || gpu.features.f16);
      if (possible.length < dtypes.length) out.error("f16 is left out: this adapter lacks it");
      const measured = await measureAll(gpu, { ...options, dtypes: possible }, out);
      const { roofline } = measured;
      ({ rows } = measured);
      const { description, isSoftware } = gpu.description;
      const [copy, fma] = [roofline.copyGBps, roofline.fmaGFlops].map((rate) =>
        rate.toPrecision(3)
      );
      out.log(
        `Adapter   ${description}\nRoofline  copy ${copy} GB/s, multiply-add ${fma} GFLOP/s\n`,
      );
      out.log(formatLinear(rows));
      if (!json) return;
      const report = { schema: 1, adapter: { description, isSoftware }, roofline, rows };
      await files.write(json, JSON.stringify(report, null, 2) + "\n");
    } finally {
      gpu.destroy();
    }
  }, out);
  return code === 0 && rows.some(({ failure }) => failure) ? 1 : code;
}

/** Measures every number of tokens, beside the roofline. */
async function measureAll(
  gpu: Gpu,
  { tokens, dtypes, inputs, outputs, effort }: LinearBenchOptions,
  out: Pick<Out, "progress">,
): Promise<{ roofline: Roofline; rows: LinearResult[] }> {
  using progress = out.progress(1 + tokens.length);
  progress.step("roofline of the adapter");
  const roofline = await measureRoofline(gpu, effort);
  const rows = [];
  for (const count of tokens) {
    progress.step(`${count} tokens`);
    const cases = dtypes.map((dtype) => ({ tokens: count, inputs, outputs, dtype }));
    rows.push(...await measureLinear(gpu, cases, { effort, roofline }));
  }
  return { roofline, rows };
}
