import {
  checkFunction,
  checkInteger,
  checkNumbers,
  checkObjects,
  checkString,
  sentence,
} from "../../base/check.ts";
import { decodeText } from "../../base/text.ts";
import { parseHuggingFaceTokenizer } from "./hugging_face.ts";
import { parseLlama2cTokenizer } from "./llama2c.ts";
import type { Tokenizer, TokenizerOptions } from "./tokenizer.ts";

/**
 * Reads a tokenizer: the file of llama2.c, or Hugging Face's `tokenizer.json`.
 *
 * @param bytes The whole file.
 * @param options What it is called, the model that it is for, and what other files say of it.
 * @returns The tokenizer.
 * @throws {TypeError} If an option is of another kind.
 * @throws {RangeError} If an option is out of range.
 * @throws {CheckpointError} If the file is damaged or cut short, or has another vocabulary than the model.
 *
 * @example
 * ```ts ignore
 * import { parseTokenizer } from "@onehead/attention/decoder";
 *
 * const file = "tok512.bin";
 * const tokenizer = await parseTokenizer(await Deno.readFile(file), { file, vocabSize: 512 });
 * console.log(tokenizer.encode("Once upon a time")); // [1, 403, 407, 261, 378]
 * ```
 */
export async function parseTokenizer(
  bytes: Uint8Array,
  options: TokenizerOptions,
): Promise<Tokenizer> {
  const action = "read a tokenizer";
  checkObjects(action, { bytes, options });
  if (!(bytes instanceof Uint8Array)) {
    throw new TypeError(sentence(action, "bytes must be a Uint8Array", { bytes }));
  }
  checkString(action, "file", options.file);
  checkInteger(action, "vocabSize", options.vocabSize);
  const { endOfText, classEndOfText, warn } = options;
  if (endOfText !== undefined) checkNumbers(action, "endOfText", endOfText);
  if (classEndOfText !== undefined) checkNumbers(action, "classEndOfText", classEndOfText);
  if (warn !== undefined) checkFunction(action, "warn", warn);
  return options.file.endsWith(".json")
    ? await parseHuggingFaceTokenizer(decodeText(bytes, options.file), options)
    : parseLlama2cTokenizer(bytes, options);
}
