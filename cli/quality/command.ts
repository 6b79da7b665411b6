/** The command: from arguments to results, around the measurements. */
import { renderSvg } from "../shared/report/svg.ts";
import { Files } from "../shared/files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { sentence } from "../../src/base/check.ts";
import { attentionMaps, chooseMaps } from "./attention_maps.ts";
import { parseOptions, type QualityOptions } from "./options.ts";
import { attentionFigure } from "./report/attention_figure.ts";
import { formatHtml } from "./report/html.ts";
import { formatTable } from "./report/table.ts";
import type { Report } from "./result.ts";
import { measureHere } from "./rows_here.ts";
import { measureByWorkers } from "./rows_by_workers.ts";
import { canDraw } from "../shared/quality/measurer.ts";
import type { Variant } from "../shared/quality/variant.ts";
import { variantsOf } from "./variants.ts";

const ACTION = "measure quality";
const USUAL_TOKENS = 512;
const files = new Files(ACTION);

/** Runs the command and returns its exit code. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    await files.checkWritable(options.json, options.html);
    if (options.svg !== undefined) await files.checkFolder(options.svg);
    await withModel(options, out, (model) => measure(model, options, out));
  }, out);
}

async function measure(model: Model, options: QualityOptions, out: Out): Promise<void> {
  const { json, svg, html, cluster } = options;
  const { checkpoint, tokenizer } = model;
  const { spec } = checkpoint;
  const most = mostTokens(spec.contextLen, options.tokens);
  const maps = chooseMaps(spec, options);
  const given = options.text === undefined
    ? undefined
    : await readTokens(model, options.text, most);
  const variants = possibleOf(variantsOf(spec, given?.length ?? most, options), model, out);
  const table = { text: given ?? most, variants };
  const { tokens, rows, adapter } = cluster
    ? await measureByWorkers(model, table, { ...options, cluster }, out)
    : await measureHere(model, table, options, out);
  const report: Report = {
    ...{ schema: 1, model: options.model, adapter },
    text: {
      source: options.text ?? `drawn by the model, seed ${options.seed}`,
      tokens: tokens.length - 1,
    },
    rows,
  };

  const text = JSON.stringify(report, null, 2);
  out.log(json === "" ? text : formatTable(report));
  if (json) await files.write(json, text + "\n");
  if (html) await files.write(html, await formatHtml(report));
  if (svg !== undefined) {
    await files.makeFolder(svg);
    const attention = await attentionMaps(checkpoint, { ...maps, tokens, tokenizer });
    await files.write(`${svg}/attention.svg`, await renderSvg(attentionFigure(attention)));
  }
}

/** The variants that some adapter can measure; each kind that none can is named on the error output, with the reason. */
function possibleOf(
  variants: readonly Variant[],
  { checkpoint: { spec }, tokenizer }: Model,
  out: Pick<Out, "error">,
): Variant[] {
  const lacking: [name: string, why: string, isLeftOut: (variant: Variant) => boolean][] = [
    [
      ...["rotated", `its heads have an odd size, ${spec.headDim}`] as const,
      ({ transform }) => transform === "rotated" && spec.headDim % 2 === 1,
    ],
    [
      ...["calibrated", "no token begins a text that the model could draw"] as const,
      ({ transform }) => transform === "calibrated" && !canDraw(tokenizer),
    ],
  ];
  for (const [name, why, isLeftOut] of lacking) {
    if (variants.some(isLeftOut)) out.error(`${name} is left out: ${why}`);
  }
  return variants.filter((variant) => !lacking.some(([, , isLeftOut]) => isLeftOut(variant)));
}

function mostTokens(contextLen: number, asked?: number): number {
  if (asked === undefined) return Math.min(USUAL_TOKENS, contextLen);
  if (asked <= contextLen) return asked;
  throw new RangeError(
    sentence(ACTION, "--tokens must fit the model's context", { tokens: asked, contextLen }),
  );
}

async function readTokens({ tokenizer }: Model, file: string, most: number): Promise<number[]> {
  const tokens = tokenizer.encode(await files.readText(file));
  if (tokens.length >= 2) return tokens.slice(0, most);
  throw new RangeError(
    sentence(ACTION, `there must be at least two tokens in ${file}`, { tokens: tokens.length }),
  );
}
