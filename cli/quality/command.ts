/** The command: from arguments to results, around the measurements. */
import { renderSvg } from "../shared/report/svg.ts";
import { drawTexts, textBounds } from "../shared/draw_texts.ts";
import { withFewerKvHeads } from "../shared/fewer_kv_heads.ts";
import { Files } from "../shared/files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { Gpu, type KvCalibration } from "../../mod.ts";
import { calibrate } from "../shared/calibrate.ts";
import { sentence } from "../../src/base/check.ts";
import { attentionMaps, chooseMaps } from "./attention_maps.ts";
import { drawText, drawWith } from "../../src/model/draw_text.ts";
import { parseOptions, type QualityOptions } from "./options.ts";
import { attentionFigure } from "./report/attention_figure.ts";
import { formatHtml } from "./report/html.ts";
import { formatTable } from "./report/table.ts";
import type { Report, Row } from "./result.ts";
import { compareScores, type Score, scoreText } from "../shared/score.ts";
import { type Variant, variantsOf } from "./variants.ts";

const ACTION = "measure quality";
const CURE = "give --text";
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
  const { json, svg, html } = options;
  const { checkpoint, tokenizer } = model;
  const { spec } = checkpoint;
  const most = mostTokens(spec.contextLen, options.tokens);
  const maps = chooseMaps(spec, options);
  const given = options.text === undefined
    ? undefined
    : await readTokens(model, options.text, most);
  const variants = variantsOf(spec, given?.length ?? most, options);

  const gpu = await Gpu.open();
  try {
    const possible = possibleOf(variants, gpu, model, out);
    const tokens = given ?? await drawTokens(gpu, model, most, options.seed);
    const report: Report = {
      schema: 1,
      model: options.model,
      adapter: {
        description: gpu.description.description,
        isSoftware: gpu.description.isSoftware,
      },
      text: {
        source: options.text ?? `drawn by the model, seed ${options.seed}`,
        tokens: tokens.length - 1,
      },
      rows: await measureRows(gpu, model, { tokens, variants: possible, options, out }),
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
  } finally {
    gpu.destroy();
  }
}

/** The variants that can be measured; each kind that cannot is named on the error output, with the reason. */
function possibleOf(
  variants: readonly Variant[],
  gpu: Gpu,
  { checkpoint: { spec }, tokenizer }: Model,
  out: Out,
): Variant[] {
  const begins = tokenizer.encode("").length > 0 || tokenizer.endOfText.length > 0;
  const lacking: [name: string, why: string, isLeftOut: (variant: Variant) => boolean][] = [
    ["f16", "this adapter lacks it", ({ kvDtype }) => kvDtype === "f16" && !gpu.features.f16],
    [
      ...["rotated", `its heads have an odd size, ${spec.headDim}`] as const,
      ({ transform }) => transform === "rotated" && spec.headDim % 2 === 1,
    ],
    [
      ...["calibrated", "no token begins a text that the model could draw"] as const,
      ({ transform }) => transform === "calibrated" && !begins,
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

/** Texts of `most` tokens in all, drawn by the model. */
async function drawTokens(
  gpu: Gpu,
  { checkpoint: { spec, weights }, tokenizer }: Model,
  most: number,
  seed: number,
): Promise<number[]> {
  const bounds = textBounds(tokenizer, { action: ACTION, cure: CURE });
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: most });
  try {
    return await drawText(drawWith(decoder), { tokens: most, ...bounds, seed });
  } finally {
    decoder.destroy();
  }
}

async function measureRows(
  gpu: Gpu,
  model: Model,
  { tokens, variants, options, out }: {
    tokens: readonly number[];
    variants: readonly Variant[];
    options: Pick<QualityOptions, "calibration" | "seed">;
    out: Out;
  },
): Promise<Row[]> {
  const { checkpoint } = model;
  const draw = { tokens: options.calibration, seed: options.seed, action: ACTION, cure: CURE };
  const calibration = variants.some(({ pool }) => pool === "merged")
    ? await drawTexts(gpu, model, draw, out)
    : [];
  const kvCalibration = variants.some(({ transform }) => transform === "calibrated")
    ? await calibrateByDraws(gpu, model, options.seed, out)
    : undefined;
  const rows: Row[] = [];
  let unchanged: Score | undefined;
  const progress = out.progress(variants.length);
  for (const variant of variants) {
    const { kvDtype, transform, window, sinks, numKvHeads, pool } = variant;
    progress.step(
      `${transform ? `${transform} ` : ""}${kvDtype}, window ${
        window ?? "all"
      }, ${numKvHeads} KV heads`,
    );
    const fewer = pool && { kvHeads: numKvHeads, method: pool, calibration };
    const { spec, weights, report } = fewer
      ? await withFewerKvHeads(gpu, checkpoint, fewer, out)
      : { ...checkpoint, report: undefined };
    const decoder = await Decoder.create(gpu, spec, weights, {
      ...{ maxTokens: tokens.length, kvDtype, window, sinks },
      ...(transform === "rotated" && { kvRotation: "hadamard" }),
      ...(transform === "calibrated" && { kvCalibration }),
    });
    try {
      const score = await scoreText(decoder, tokens, spec.vocabSize);
      rows.push({
        ...{ ...variant, cacheBytes: decoder.cacheBytes },
        ...compareScores(score, unchanged ??= score),
        ...(report && { merge: report }),
      });
    } finally {
      decoder.destroy();
    }
  }
  progress.end();
  return rows;
}

/** Calibrates the caches by as many tokens of texts that the model draws as its context holds. */
async function calibrateByDraws(
  gpu: Gpu,
  model: Model,
  seed: number,
  out: Out,
): Promise<KvCalibration[]> {
  const { checkpoint } = model;
  const draw = { tokens: checkpoint.spec.contextLen, seed, action: ACTION, cure: CURE };
  const texts = await drawTexts(gpu, model, draw, out);
  return await calibrate(gpu, checkpoint, texts.flat());
}
