/** The command: from arguments to a text, around the decoder. */
import type { Checkpoint } from "../../src/checkpoints/mod.ts";
import { calibrateByFile } from "../shared/calibrate.ts";
import { drawTexts } from "../shared/draw_texts.ts";
import { withFewerKvHeads } from "../shared/fewer_kv_heads.ts";
import { type PoolMethod, USUAL_CALIBRATION } from "../shared/model_options.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { Decoder } from "../../src/model/decoder.ts";
import type { RemoteKv } from "../../src/model/remote_kv.ts";
import { attentionParameters, Gpu, type KvCalibration } from "../../mod.ts";
import { sentence } from "../../src/base/check.ts";
import { checkFewerHeads } from "../../src/layer/pool_kv_heads.ts";
import { continuePrompt, logitChange } from "./measure.ts";
import { continueByWorkers } from "./prompts_by_workers.ts";
import { continuePrompts } from "./prompts_file.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { type GenerateOptions, parseOptions } from "./options.ts";
import { withShards } from "./shards.ts";
import { formatPooling, formatSpeed } from "./report.ts";

const ACTION = "generate";
/** Logits of a long prompt and a large vocabulary would not fit memory: these tokens of it are compared. */
const COMPARED_TOKENS = 64;

/** Runs the command and returns its exit code. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    await withModel(options, out, async (model) => {
      const { prompts, out: results, cluster } = options;
      const files = prompts !== undefined && results !== undefined
        ? { ...options, prompts, out: results }
        : undefined;
      if (files && cluster) return await continueByWorkers(model, { ...files, cluster }, out);
      const prompt = files ? [] : promptOf(model, options);
      const gpu = await Gpu.open();
      try {
        if (files) return await continuePrompts(gpu, model, files, out);
        await withShards(model.checkpoint, options, out, async (kv) => {
          await generate(gpu, model, { ...options, prompt, kv }, out);
        });
      } finally {
        gpu.destroy();
      }
    });
  }, out);
}

/** The prompt's tokens: at least one, and with those to come no more than the model was made for. */
function promptOf(
  { checkpoint: { spec: { contextLen } }, tokenizer }: Model,
  { prompt, tokens: newTokens }: GenerateOptions,
): number[] {
  const tokens = tokenizer.encode(prompt);
  if (tokens.length === 0) {
    throw new RangeError(
      "Cannot generate as this model's texts begin with no token: give --prompt",
    );
  }
  if (tokens.length + newTokens > contextLen) {
    throw new RangeError(
      sentence(
        ACTION,
        "prompt and new tokens must fit the model's context (shorten --prompt or --tokens)",
        { promptTokens: tokens.length, newTokens, contextLen },
      ),
    );
  }
  return tokens;
}

async function generate(
  gpu: Gpu,
  model: Model,
  options: Omit<GenerateOptions, "prompt"> & { prompt: readonly number[]; kv?: RemoteKv },
  out: Out,
): Promise<void> {
  const { checkpoint, tokenizer } = model;
  const { prompt, tokens, sampling, kvHeads, pool, kvDtype, weightDtype, window, sinks } = options;
  const { speculate, calibrate: file, kv } = options;
  const room = prompt.length + tokens;
  // Whoever keeps the keys and values elsewhere decides on their storage.
  const caches = kv ? { kv } : { kvDtype, window, sinks };
  const create = async ({ spec, weights }: Checkpoint, kvCalibration?: KvCalibration[]) => {
    using progress = out.progress(spec.layers.length);
    return await Decoder.create(gpu, spec, weights, {
      ...{ maxTokens: room, weightDtype, ...caches, kvCalibration },
      progress: () => progress.step("layers uploaded"),
    });
  };

  const isPooled = kvHeads !== undefined && kvHeads !== checkpoint.spec.numKvHeads;
  const pooled = isPooled
    ? await withHeads(gpu, model, { kvHeads, method: pool, seed: sampling.seed }, out)
    : checkpoint;
  const compared = prompt.slice(0, COMPARED_TOKENS);
  const before = isPooled ? await runOnce(await create(checkpoint), compared) : undefined;

  const decoder = await create(
    pooled,
    file === undefined
      ? undefined
      : await calibrateByFile(gpu, { checkpoint: pooled, tokenizer }, { action: ACTION, file }),
  );
  if (before) {
    const after = await decoder.forward(compared);
    decoder.clear();
    out.log(
      formatPooling({
        ...{ from: checkpoint.spec.numKvHeads, to: pooled.spec.numKvHeads, method: pool },
        parameters: {
          before: parametersOf(checkpoint),
          after: parametersOf(pooled),
        },
        cacheBytes: { before: before.cacheBytes, after: decoder.cacheBytes },
        change: logitChange(before.logits, after, checkpoint.spec.vocabSize),
      }) + "\n",
    );
  }
  const speed = await continuePrompt(decoder, prompt, {
    ...{ tokens, sampling, speculate, tokenizer, write: out.write, settled: () => gpu.settled() },
  });
  const cache = kv ? "shards" : kvDtype;
  out.log("\n" + formatSpeed(speed, decoder, { kvDtype: cache, weightDtype, room }));
  decoder.destroy();
}

/** The model's checkpoint with fewer KV heads. */
async function withHeads(
  gpu: Gpu,
  model: Model,
  { kvHeads, method, seed }: { kvHeads: number; method: PoolMethod; seed: number },
  out: Out,
): Promise<Checkpoint> {
  // Refused before minutes of drawing.
  checkFewerHeads(ACTION, { from: model.checkpoint.spec.numKvHeads, to: kvHeads });
  const draw = { tokens: USUAL_CALIBRATION, seed, action: ACTION, cure: "give another --pool" };
  const calibration = method === "merged" ? await drawTexts(gpu, model, draw, out) : [];
  return await withFewerKvHeads(gpu, model.checkpoint, { kvHeads, method, calibration }, out);
}

/** The logits of a decoder after each token, and the bytes of its caches; the decoder is destroyed. */
async function runOnce(decoder: Decoder, tokens: readonly number[]) {
  try {
    return { logits: await decoder.forward(tokens), cacheBytes: decoder.cacheBytes };
  } finally {
    decoder.destroy();
  }
}

function parametersOf({ spec }: Checkpoint): number {
  const { dim: hiddenSize, numHeads, numKvHeads, headDim, layers } = spec;
  const { total } = attentionParameters({ hiddenSize, numHeads, numKvHeads, headDim });
  return layers.length * total;
}
