/** The command: from arguments to a written model, around the library. */
import { Gpu } from "../../mod.ts";
import { type Checkpoint, writeCheckpoint } from "../../src/checkpoints/mod.ts";
import { checkNewFolder } from "../../src/checkpoints/writer/new_folder.ts";
import { checkFewerHeads } from "../../src/layer/pool_kv_heads.ts";
import { Decoder } from "../../src/model/decoder.ts";
import { withFewerKvHeads } from "../shared/fewer_kv_heads.ts";
import { Files } from "../shared/files.ts";
import { type Model, tokenizerPath, withModel } from "../shared/model_files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { compareScores, type Score, scoreTexts } from "../shared/score.ts";
import { parseOptions, type UptrainOptions } from "./options.ts";
import { formatTable } from "./report/table.ts";
import type { Report, Stage } from "./result.ts";
import { type Texts, textsFor } from "./texts.ts";

const ACTION = "uptrain";
/** Most tokens that heads are merged by: more tell about the same. */
const MOST_CALIBRATION = 32_768;
const files = new Files(ACTION);

/** Runs the command and returns its exit code. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    await checkNewFolder(options.out);
    await files.checkFolder(options.out);
    await files.checkWritable(options.json);
    await withModel(options, out, async (model) => {
      const { numKvHeads } = model.checkpoint.spec;
      checkFewerHeads(ACTION, { from: numKvHeads, to: options.kvHeads });
      const gpu = await Gpu.open();
      try {
        await uptrain(gpu, model, options, out);
      } finally {
        gpu.destroy();
      }
    });
  }, out);
}

async function uptrain(
  gpu: Gpu,
  model: Model,
  options: UptrainOptions,
  out: Out,
): Promise<void> {
  const { checkpoint, tokenizer } = model;
  const { kvHeads, init, json } = options;
  const start = performance.now();
  const texts = await textsFor(gpu, model, options, { files, action: ACTION, out });
  const converted = await withFewerKvHeads(gpu, checkpoint, {
    ...{ kvHeads, method: init, calibration: someOf(texts.learned) },
  }, out);
  const [before, after] = [
    await measure(gpu, checkpoint, texts, out),
    await measure(gpu, converted, texts, out),
  ];
  const stage = (
    stage: Stage["stage"],
    { spec }: Checkpoint,
    { score, cacheBytes }: Measured,
  ): Stage => ({
    ...{ stage, numKvHeads: spec.numKvHeads, cacheBytes },
    ...compareScores(score, before.score),
  });
  const report: Report = {
    ...{ schema: 1, model: options.model, out: options.out },
    adapter: {
      description: gpu.description.description,
      isSoftware: gpu.description.isSoftware,
    },
    text: {
      source: texts.source,
      learned: texts.learned.flat().length,
      heldOut: texts.heldOut.flat().length,
    },
    contextLen: checkpoint.spec.contextLen,
    stages: [stage("original", checkpoint, before), stage(init, converted, after)],
    ...(converted.report && { merge: converted.report }),
    seconds: (performance.now() - start) / 1000,
  };

  const written = { ...converted, endOfText: tokenizer.endOfText };
  await writeCheckpoint(options.out, written, { tokenizer: await tokenizerPath(options) });
  const text = JSON.stringify(report, null, 2);
  await files.write(`${options.out}/uptrain.json`, text + "\n");
  if (json) await files.write(json, text + "\n");
  out.log(json === "" ? text : formatTable(report));
}

/** Texts at equal distances, of as many tokens as heads are merged by at most. */
function someOf(texts: Texts["learned"]): Texts["learned"] {
  const stride = Math.ceil(texts.flat().length / MOST_CALIBRATION);
  return texts.filter((_, i) => i % stride === 0);
}

/** The quality of a model, and the bytes of its KV cache for its context. */
interface Measured {
  score: Score;
  cacheBytes: number;
}

async function measure(
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
