/** `bench heads`: one architecture trained from scratch with several numbers of KV heads. */
import { Files } from "../../cli/shared/files.ts";
import { withCtrlC, type WithInterrupt } from "../../cli/shared/interrupt.ts";
import { type Model, withModel } from "../../cli/shared/model_files.ts";
import { renderSvg } from "../../cli/shared/report/svg.ts";
import { exitCodeOfInterruptible, type Out } from "../../cli/shared/run.ts";
import { type CurvePoint, paceOf, trainerOptions } from "../../cli/shared/training/learn.ts";
import { type Texts, textsFor } from "../../cli/shared/training/texts.ts";
import { WorkFolder } from "../../cli/shared/work_folder.ts";
import { Gpu } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";
import { checkNewFolder } from "../../src/checkpoints/writer/new_folder.ts";
import { checkArchitecture } from "../../src/train/parameters.ts";
import { headsFigure } from "./figure.ts";
import { ACTION, type HeadsOptions, parseHeadsOptions } from "./options.ts";
import { type HeadsReport, rowsOf, type Run, runOf } from "./result.ts";
import { formatHeads, variantName } from "./table.ts";
import { trainVariant } from "./train.ts";
import { type DecoderVariant, variantsOf } from "./variants.ts";

const files = new Files(ACTION);

/** The options that must be the same where trainings go on: those of a training, and of its texts. */
const FIXED: readonly (keyof HeadsOptions)[] = [
  ...["model", "layers", "text", "selfDrawn", "heldOut", "seed", "tokens", "batch"] as const,
  "rate",
];

/** What is kept of a comparison. */
interface Work {
  /** The adapter of all trainings: their times are summed. */
  adapter: string;
  texts: Texts;
  runs: Run[];
}

/** What a comparison is about. */
interface HeadsComparison {
  model: Model;
  options: HeadsOptions;
  variants: readonly DecoderVariant[];
  folder: WorkFolder<HeadsOptions, Work>;
}

/** Runs the command and returns its exit code. */
export async function runHeads(
  args: readonly string[],
  out: Out,
  withInterrupt: WithInterrupt = withCtrlC,
): Promise<number> {
  return await exitCodeOfInterruptible(async () => {
    const options = parseHeadsOptions(args);
    if (typeof options === "string") {
      out.log(options);
      return true;
    }
    let isDone = true;
    const folder = new WorkFolder<HeadsOptions, Work>({
      ...{ path: options.out, files, action: ACTION, options, fixed: FIXED },
      holds: "trainings of before",
    });
    await folder.check();
    if (!options.resume) await checkNewFolder(options.out);
    await files.checkFolder(options.out);
    await withModel(options, out, async (model) => {
      const { spec, weights } = model.checkpoint;
      checkArchitecture(ACTION, spec, weights);
      const variants = variantsOf(model.checkpoint, options);
      const gpu = await Gpu.open();
      try {
        const comparison = { model, options, variants, folder };
        const work = await begin(gpu, comparison, out);
        isDone = await withInterrupt((signal) => trainAll(gpu, comparison, work, signal, out));
        if (isDone) await finish(gpu, comparison, work, out);
        else out.error(stopped(folder.path, work));
      } finally {
        gpu.destroy();
      }
    });
    return isDone;
  }, out);
}

/** A comparison that begins, or the one to go on with. */
async function begin(
  gpu: Gpu,
  { model, options, folder }: HeadsComparison,
  out: Out,
): Promise<Work> {
  const { description: adapter } = gpu.description;
  if (options.resume) {
    const work = await folder.read();
    if (work.adapter === adapter) return work;
    const rule = "--resume needs the adapter that its trainings ran on";
    throw new RangeError(sentence(ACTION, rule, { adapter, before: work.adapter }));
  }
  const texts = await textsFor(gpu, model, options, { files, action: ACTION, out });
  const work = { adapter, texts, runs: [] };
  await folder.write(work);
  return work;
}

/** Trains each version by each seed, all versions of a seed before the next; false where it was stopped. */
async function trainAll(
  gpu: Gpu,
  { model, options, variants, folder }: HeadsComparison,
  work: Work,
  signal: AbortSignal,
  out: Out,
): Promise<boolean> {
  const { texts, runs } = work;
  const { weights } = model.checkpoint;
  const missing = seedsOf(options).flatMap((seed) =>
    variants.filter((variant) => !runOf(runs, variant, seed)).map((variant) => ({ variant, seed }))
  );
  const { steps, batch, seqLen } = trainerOptions(options, texts);
  const total = missing.length * steps;
  using progress = out.progress(total);
  const start = performance.now();
  let done = 0;
  for (const { variant, seed } of missing) {
    const name = `${variantName(variant)}, seed ${seed}`;
    const run = await trainVariant(
      gpu,
      variant,
      { texts, sizes: options, seed, has: (name) => weights.has(name), signal },
      (curve) => {
        const stepsPerSecond = ++done / ((performance.now() - start) / 1000);
        const tokensPerSecond = stepsPerSecond * batch * seqLen;
        const tokensLeft = (total - done) * batch * seqLen;
        progress.step(`${name}: ${lineOf(curve)}, ${paceOf({ tokensPerSecond, tokensLeft })}`);
      },
    );
    if (!run) return false;
    runs.push(run);
    await folder.write(work);
  }
  return true;
}

/** The line that says what is kept of a comparison that was stopped. */
function stopped(folder: string, { runs }: Work): string {
  return `Stopped; trainings in ${folder}: ${runs.length} (the same command goes on with --resume)`;
}

/** Writes all figures, and prints them. */
async function finish(
  gpu: Gpu,
  { options, variants }: HeadsComparison,
  { texts, runs }: Work,
  out: Out,
): Promise<void> {
  const { description, isSoftware } = gpu.description;
  const { model, out: folder, tokens, batch, rate } = options;
  const seeds = seedsOf(options);
  const asked = seeds.flatMap((seed) => variants.map((variant) => runOf(runs, variant, seed)!));
  const { layers, dim, numHeads, headDim, vocabSize } = variants[0].spec;
  const report: HeadsReport = {
    ...{ schema: 1, model, adapter: { description, isSoftware } },
    architecture: { numLayers: layers.length, dim, numHeads, headDim, vocabSize },
    text: {
      source: texts.source,
      learned: texts.learned.flat().length,
      heldOut: texts.heldOut.flat().length,
      seqLen: trainerOptions(options, texts).seqLen,
    },
    training: { tokens, batch, rate },
    rows: rowsOf(variants, asked, seeds),
    runs: asked,
  };
  await files.write(`${folder}/heads.json`, JSON.stringify(report, null, 2) + "\n");
  await files.write(`${folder}/heads.svg`, await renderSvg(headsFigure(report)));
  out.log(formatHeads(report));
}

/** The seeds of the trainings. */
function seedsOf({ seed, seeds }: HeadsOptions): number[] {
  return Array.from({ length: seeds }, (_, i) => seed + i);
}

/** "loss 3.1234, held-out perplexity 12.34" */
function lineOf(curve: readonly CurvePoint[]): string {
  const heldOut = curve.findLast(({ heldOut }) => heldOut !== undefined)?.heldOut;
  const loss = `loss ${curve.at(-1)!.loss.toFixed(4)}`;
  return heldOut === undefined
    ? loss
    : `${loss}, held-out perplexity ${Math.exp(heldOut).toFixed(2)}`;
}
