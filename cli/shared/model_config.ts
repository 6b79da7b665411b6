/** Models from the `config.json` that Hugging Face repositories carry. */
import { HfConfig } from "../../src/checkpoints/config.ts";
import {
  ASSUMED_DENSE,
  isKnown,
  MODEL_TYPES,
  readModel,
} from "../../src/checkpoints/model_types/mod.ts";
import { type Model, modelOf } from "./preset.ts";

/**
 * Reads a model's shapes from the text of a `config.json`, with the defaults of the class that its type names.
 *
 * @param text The file's text.
 * @param file What to call the model where the file does not say.
 * @param options Whether a type that is not known is taken for a dense model's. The default is to refuse it.
 * @throws {CheckpointError} If the text is no JSON object, or a field is missing or makes no sense; the message names it.
 * @throws {RangeError} If the type is not known, or no layer keeps keys and values.
 */
export function parseConfig(
  text: string,
  file: string,
  { assumesDense = false }: { assumesDense?: boolean } = {},
): Model {
  const given = HfConfig.parse(text, file);
  const modelType = given.value("model_type");
  if (!assumesDense && !isKnown(given)) {
    const known = Object.keys(MODEL_TYPES).toSorted().join(", ");
    throw new RangeError(
      `Cannot plan as the model_type of ${file} must be one whose layers are known ` +
        `("--assume dense" counts any other as a dense model); known are ${known}: ` +
        `current value model_type=${JSON.stringify(modelType)}`,
    );
  }
  const { type, outline } = readModel(given, ASSUMED_DENSE);
  const isAssumed = type === ASSUMED_DENSE;
  return modelOf(outline, {
    name: String(given.value("_name_or_path") || file) + (isAssumed ? " (assumed dense)" : ""),
    source: `${file}; ${
      isAssumed ? "layers assumed" : `defaults of ${type.source}`
    }, parameters counted from its sizes`,
    ...(isAssumed ? { isAssumed } : {}),
    ...(given.has("vision_config") || given.has("audio_config") ? { isMultimodal: true } : {}),
  });
}
