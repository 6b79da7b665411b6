/** The options of commands that keep an engine of a model open. */
import { KV_DTYPES } from "../../../src/tensor/dtype.ts";
import type { Arguments } from "../arguments.ts";
import { checkCalibrate } from "../calibrate.ts";
import { type ModelOptions, WEIGHT_DTYPES } from "../model_options.ts";
import type { EngineOptions } from "./open_engine.ts";

/** The names of an engine's options beside those of its model's files. */
export const ENGINE_NAMES = [
  ...["cache-dtype", "calibrate", "weight-dtype", "context", "sequences", "cache-mib"] as const,
];

/** The names of all of them. */
export const MODEL_NAMES = ["model", "tokenizer", ...ENGINE_NAMES] as const;

/** The help on them. */
export const MODEL_HELP =
  `  --model FILE         a checkpoint: a .bin of llama2.c, a .safetensors or its index, or the folder of a Hugging Face model
  --tokenizer FILE     its tokenizer: a .bin of llama2.c, or a tokenizer.json (default: tokenizer.json beside the model)
  --cache-dtype NAME   element type of the KV cache: f32, f16, int8, int4 (default: f32)
  --calibrate FILE     a text like those to come, by which channels of an int8 or int4 cache are scaled (default: they are not)
  --weight-dtype NAME  element type of the weights: f32, f16, int8 (default: f32)
  --context NUMBER     most tokens of a sequence, prompt and answer (default: as the model was trained)
  --sequences NUMBER   most sequences that run together (default: 16)
  --cache-mib NUMBER   MiB of the keys and values of all of them (default: what they need, at most 256)`;

/** Reads them; `action` is what cannot be done where they contradict each other. */
export function readModel(
  action: string,
  given: Pick<Arguments<typeof MODEL_NAMES[number]>, "required" | "text" | "choice" | "number">,
): ModelOptions & EngineOptions {
  const count = { min: 1 };
  const options: ModelOptions & EngineOptions = {
    model: given.required("model"),
    tokenizer: given.text("tokenizer"),
    kvDtype: given.choice("cache-dtype", KV_DTYPES) ?? "f32",
    calibrate: given.text("calibrate"),
    weightDtype: given.choice("weight-dtype", WEIGHT_DTYPES) ?? "f32",
    context: given.number("context", count),
    sequences: given.number("sequences", count),
    cacheMib: given.number("cache-mib", count),
  };
  checkCalibrate(action, options);
  return options;
}
