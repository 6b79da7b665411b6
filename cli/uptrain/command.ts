/** The command: from arguments to a written model, around the library. */
import { Gpu } from "../../mod.ts";
import { type Checkpoint, withPooledKvHeads, writeCheckpoint } from "../../src/checkpoints/mod.ts";
import { checkNewFolder } from "../../src/checkpoints/writer/new_folder.ts";
import { checkFewerHeads } from "../../src/layer/pool_kv_heads.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { checkArchitecture } from "../../src/train/parameters.ts";
import { withFewerKvHeads } from "../shared/fewer_kv_heads.ts";
import { Files } from "../shared/files.ts";
import { type Model, tokenizerPath, withModel } from "../shared/model_files.ts";
import { renderSvg } from "../shared/report/svg.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { compareScores, type Score, scoreTexts } from "../shared/score.ts";
import { withCtrlC, type WithInterrupt } from "./interrupt.ts";
import { parseOptions, type UptrainOptions } from "./options.ts";
import { curveFigure } from "./report/curve_figure.ts";
import { formatTable } from "./report/table.ts";
import type { Report, Stage } from "./result.ts";
import { type Texts, textsFor } from "./texts.ts";
import { train } from "./train.ts";
import { type TrainingRun, WorkFolder } from "./work_folder.ts";

const ACTION = "uptrain";
/** Most tokens that heads are merged by: more tell about the same. */
const MOST_CALIBRATION = 32_768;
/** The exit code of a process that Ctrl-C ended. */
const INTERRUPTED = 130;
const files = new Files(ACTION);

/** Runs the command and returns its exit code. */
export async function runCommand(
  args: readonly string[],
  out: Out,
  withInterrupt: WithInterrupt = withCtrlC,
): Promise<number> {
  let isDone = true;
  const code = await exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    await checkNewFolder(options.out);
    await files.checkFolder(options.out);
    await files.checkWritable(options.json);
    const folder = new WorkFolder(files, options);
    await folder.check();
    await withModel(options, out, async (model) => {
      checkModel(model, options);
      const gpu = await Gpu.open();
      try {
        isDone = await uptrain(gpu, model, { options, folder, withInterrupt }, out);
      } finally {
        gpu.destroy();
      }
    });
  }, out);
  return isDone ? code : INTERRUPTED;
}

/** Throws now for what would fail after minutes. */
function checkModel({ checkpoint: { spec, weights } }: Model, options: UptrainOptions): void {
  checkFewerHeads(ACTION, { from: spec.numKvHeads, to: options.kvHeads });
  if (options.tokens > 0) checkArchitecture(ACTION, spec, weights);
}

/** Converts, trains and writes a model; false where training was stopped. */
async function uptrain(
  gpu: Gpu,
  model: Model,
  { options, folder, withInterrupt }: {
    options: UptrainOptions;
    folder: WorkFolder;
    withInterrupt: WithInterrupt;
  },
  out: Out,
): Promise<boolean> {
  const original = model.checkpoint;
  const { run, converted } = options.resume
    ? { run: await folder.read(), converted: withShapes(original, options) }
    : await convert(gpu, model, options, out);
  if (options.tokens === 0) {
    await finish(gpu, model, { written: converted, run, options }, out);
    return true;
  }
  const trained = await withInterrupt((signal) =>
    train(gpu, { original, converted }, options, { run, folder, signal }, out)
  );
  if (!trained) {
    out.error(`Stopped, and kept in ${folder.path}: the same command goes on with --resume`);
    return false;
  }
  run.stages.push({ stage: "trained", ...await measure(gpu, trained, run, out) });
  await finish(gpu, model, { written: trained, run, options }, out);
  await folder.remove();
  return true;
}

/** A checkpoint of as few heads, whose weights a saved state replaces. */
function withShapes(original: Checkpoint, { kvHeads }: UptrainOptions): Checkpoint {
  return withPooledKvHeads(original, { kvHeads, method: "first" });
}

/** Gives a model fewer KV heads, and measures it before and after. */
async function convert(
  gpu: Gpu,
  model: Model,
  options: UptrainOptions,
  out: Out,
): Promise<{ run: TrainingRun; converted: Checkpoint }> {
  const { checkpoint } = model;
  const { kvHeads, init: method } = options;
  const texts = await textsFor(gpu, model, options, { files, action: ACTION, out });
  const calibration = someOf(texts.learned);
  const { report, ...converted } = await withFewerKvHeads(
    gpu,
    checkpoint,
    { kvHeads, method, calibration },
    out,
  );
  const original = await scoreOf(gpu, checkpoint, texts, out);
  const scores = { texts, original: original.score };
  const stages: Stage[] = [
    { stage: "original", ...stageOf(checkpoint, original, scores) },
    { stage: method, ...await measure(gpu, converted, scores, out) },
  ];
  const run = { ...scores, stages, ...(report && { merge: report }), curve: [], seconds: 0 };
  return { run, converted };
}

/** Texts at equal distances, of as many tokens as heads are merged by at most. */
function someOf(texts: Texts["learned"]): Texts["learned"] {
  const stride = Math.ceil(texts.flat().length / MOST_CALIBRATION);
  return texts.filter((_, i) => i % stride === 0);
}

/** Writes the model and all figures, and prints them. */
async function finish(
  gpu: Gpu,
  { tokenizer }: Model,
  { written, run, options }: { written: Checkpoint; run: TrainingRun; options: UptrainOptions },
  out: Out,
): Promise<void> {
  const { texts, stages, merge, curve, seconds } = run;
  const { model, out: folder, json, tokens, batch, rate, teacher } = options;
  const report: Report = {
    ...{ schema: 1, model, out: folder },
    adapter: {
      description: gpu.description.description,
      isSoftware: gpu.description.isSoftware,
    },
    text: {
      source: texts.source,
      learned: texts.learned.flat().length,
      heldOut: texts.heldOut.flat().length,
    },
    contextLen: written.spec.contextLen,
    stages,
    ...(merge && { merge }),
    ...(tokens > 0 && {
      training: { options: { tokens, batch, rate, teacher }, curve, seconds },
    }),
  };
  const endOfText = tokenizer.endOfText;
  const path = await tokenizerPath(options);
  await writeCheckpoint(folder, { ...written, endOfText }, { tokenizer: path });
  const text = JSON.stringify(report, null, 2);
  await files.write(`${folder}/uptrain.json`, text + "\n");
  if (report.training) {
    await files.write(`${folder}/loss.svg`, await renderSvg(curveFigure(report)));
  }
  if (json) await files.write(json, text + "\n");
  out.log(json === "" ? text : formatTable(report));
}

/** The score of a model on the held-out texts, and the bytes of its KV cache for its context. */
interface Measured {
  score: Score;
  cacheBytes: number;
}

/** A stage of a model beside the original. */
async function measure(
  gpu: Gpu,
  checkpoint: Checkpoint,
  run: Pick<TrainingRun, "texts" | "original">,
  out: Pick<Out, "progress">,
): Promise<Omit<Stage, "stage">> {
  return stageOf(checkpoint, await scoreOf(gpu, checkpoint, run.texts, out), run);
}

function stageOf(
  { spec: { numKvHeads } }: Checkpoint,
  { score, cacheBytes }: Measured,
  { original }: Pick<TrainingRun, "original">,
): Omit<Stage, "stage"> {
  return { numKvHeads, cacheBytes, ...compareScores(score, original) };
}

async function scoreOf(
  gpu: Gpu,
  { spec, weights }: Checkpoint,
  { heldOut }: Texts,
  out: Pick<Out, "progress">,
): Promise<Measured> {
  const decoder = await Decoder.create(gpu, spec, weights, { maxTokens: spec.contextLen });
  const progress = out.progress(heldOut.length);
  try {
    const score = await scoreTexts(
      decoder,
      heldOut,
      spec.vocabSize,
      () => progress.step(`held-out texts predicted with ${spec.numKvHeads} KV heads`),
    );
    return { score, cacheBytes: decoder.cacheBytes };
  } finally {
    progress.end();
    decoder.destroy();
  }
}
