/** `bench serving`: what a budget of cache memory serves, by MHA, GQA and MQA versions of one model. */
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, type Out } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";
import type { DecoderSpec } from "../../src/model/spec.ts";
import { measureServing } from "./measure.ts";
import { parseServingOptions, type ServingOptions } from "./options.ts";
import { measurePrefix, OWN_TOKENS } from "./prefix.ts";
import { drawRequests, longestRequest } from "./requests.ts";
import type { ServingReport, ServingRow } from "./result.ts";
import { formatServing } from "./table.ts";

const files = new Files("measure serving");
/** Pairs of prompts whose first tokens are timed. */
const PAIRS = 15;

/** Runs the command and returns its exit code. */
export function runServing(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseServingOptions(args);
    if (typeof options === "string") return out.log(options);
    const { json, svg, html } = options;
    await files.checkWritable(json, svg, html);
    const gpu = await Gpu.open();
    try {
      const report = await measureAll(gpu, options, out);
      out.log(formatServing(report));
      if (json) await files.write(json, JSON.stringify(report, null, 2) + "\n");
      if (svg) {
        const [{ servingSpec }, { renderSvg }] = await Promise.all([
          import("./chart_spec.ts"),
          import("../../cli/shared/report/svg.ts"),
        ]);
        await files.write(svg, await renderSvg(servingSpec(report)));
      }
      if (html) {
        const { formatHtml } = await import("./html.ts");
        await files.write(html, await formatHtml(report));
      }
    } finally {
      gpu.destroy();
    }
  }, out);
}

async function measureAll(
  gpu: Gpu,
  options: ServingOptions,
  out: Pick<Out, "progress">,
): Promise<ServingReport> {
  const { model, weightDtype, sizes, requests: distribution, sharedTokens } = options;
  const { kvHeads } = model;
  const requests = drawRequests(distribution, options.vocabSize);
  using progress = out.progress(kvHeads.length + 1);
  const rows: ServingRow[] = [];
  for (const numKvHeads of kvHeads) {
    progress.step(`${requests.length} requests, ${numKvHeads} KV heads`);
    rows.push(
      await measureServing(
        gpu,
        { spec: specOf(options, numKvHeads), weightDtype },
        requests,
        sizes,
      ),
    );
  }
  const fewest = specOf(options, kvHeads.at(-1)!);
  progress.step(`prompts that share ${sharedTokens} tokens`);
  const { stepTokens } = sizes;
  const prefix = { sharedTokens, pairs: PAIRS, seed: distribution.seed, stepTokens };
  const measured = await measurePrefix(gpu, { spec: fewest, weightDtype }, prefix);
  const { description, isSoftware } = gpu.description;
  const { numHeads, headDim, dim, hiddenDim, vocabSize, layers } = fewest;
  const { budgetBytes, kvDtype, pageSize } = sizes;
  return {
    ...{ schema: 1, adapter: { description, isSoftware } },
    architecture: { numLayers: layers.length, numHeads, headDim, dim, hiddenDim, vocabSize },
    ...{ weightDtype, budgetBytes, kvDtype, pageSize, stepTokens, requests: distribution },
    ...{ rows, prefix: measured },
  };
}

/** A version of the model: a feed-forward layer that is three times as wide as the residual stream, with a gate. */
function specOf(
  { model: { heads, headDim, layers }, vocabSize, requests, sharedTokens }: ServingOptions,
  numKvHeads: number,
): DecoderSpec {
  const dim = heads * headDim;
  return {
    ...{ vocabSize, dim, hiddenDim: 3 * dim, numHeads: heads, numKvHeads, headDim },
    contextLen: Math.max(longestRequest(requests), sharedTokens + OWN_TOKENS + 1),
    layers: Array.from({ length: layers }, () => ({ rope: {} })),
    norm: { kind: "rms", eps: 1e-5 },
    ...{ activation: "silu", isGated: true, isParallel: false },
  };
}
