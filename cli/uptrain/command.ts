/** The command: from arguments to a written model, around the library. */
import { Gpu } from "../../mod.ts";
import { checkNewFolder } from "../../src/checkpoints/writer/new_folder.ts";
import { checkFewerHeads } from "../../src/layer/pool_kv_heads.ts";
import { checkArchitecture } from "../../src/train/parameters.ts";
import { Files } from "../shared/files.ts";
import { withCtrlC, type WithInterrupt } from "../shared/interrupt.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { exitCodeOfInterruptible, type Out } from "../shared/run.ts";
import { textsFor } from "../shared/training/texts.ts";
import { type Conversion, convert, withShapes } from "./convert.ts";
import { finish } from "./finish.ts";
import { measure } from "./measure.ts";
import { ACTION, parseOptions, type UptrainOptions } from "./options.ts";
import { train } from "./train.ts";
import { TrainingFolder } from "./training_folder.ts";

const files = new Files(ACTION);

/** Runs the command and returns its exit code. */
export async function runCommand(
  args: readonly string[],
  out: Out,
  withInterrupt: WithInterrupt = withCtrlC,
): Promise<number> {
  return await exitCodeOfInterruptible(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") {
      out.log(options);
      return true;
    }
    let isDone = true;
    await checkNewFolder(options.out);
    await files.checkFolder(options.out);
    await files.checkWritable(options.json);
    const folder = new TrainingFolder(files, options);
    await folder.check(folder.state);
    await withModel(options, out, async (model) => {
      checkModel(model, options);
      const gpu = await Gpu.open();
      try {
        isDone = await uptrain(gpu, model, { options, folder, withInterrupt }, out);
      } finally {
        gpu.destroy();
      }
    });
    return isDone;
  }, out);
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
    folder: TrainingFolder;
    withInterrupt: WithInterrupt;
  },
  out: Out,
): Promise<boolean> {
  const original = model.checkpoint;
  const { run, converted } = await begin(gpu, model, { options, folder }, out);
  if (options.tokens === 0) {
    await finish(gpu, model, { written: converted, run, options, files }, out);
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
  await finish(gpu, model, { written: trained, run, options, files }, out);
  await folder.remove();
  return true;
}

/** A conversion that begins, or the one to go on with. */
async function begin(
  gpu: Gpu,
  model: Model,
  { options, folder }: { options: UptrainOptions; folder: TrainingFolder },
  out: Out,
): Promise<Conversion> {
  const { checkpoint } = model;
  if (options.resume) {
    return { run: await folder.read(), converted: withShapes(checkpoint, options) };
  }
  const texts = await textsFor(gpu, model, options, { files, action: ACTION, out });
  return await convert(gpu, checkpoint, texts, options, out);
}
