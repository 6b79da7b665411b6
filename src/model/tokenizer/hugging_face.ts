/** Hugging Face's `tokenizer.json`, read by their own package, which is loaded where such a file is. */
import { sentence } from "../../base/check.ts";
import { CheckpointError } from "../../base/errors.ts";
import { checkTokens } from "../check_tokens.ts";
import type { Tokenizer, TokenizerOptions } from "./tokenizer.ts";

type Package = typeof import("@huggingface/tokenizers");

/**
 * Reads a `tokenizer.json`.
 *
 * @throws {CheckpointError} If it is no tokenizer, or has tokens that the model does not know.
 */
export async function parseHuggingFaceTokenizer(
  json: string,
  { file, vocabSize, config = "{}" }: TokenizerOptions,
): Promise<Tokenizer> {
  const { Tokenizer } = await import("@huggingface/tokenizers");
  const settings = parseJson<{ eos_token?: string | { content: string } | null }>(
    config,
    `${file}'s tokenizer_config.json`,
  );
  const tokenizer = readTokenizer(() => new Tokenizer(parseJson(json, file), settings), file);
  const tokens = [...tokenizer.get_vocab(true).values()];
  const largestToken = tokens.reduce((largest, token) => Math.max(largest, token), -1);
  // A model may know more tokens, as the rows of its matrices are rounded up.
  if (!(largestToken < vocabSize)) {
    throw new CheckpointError(
      sentence(`read ${file}`, "its tokens must be of the model's vocabulary", {
        ...{ largestToken, vocabSize },
      }),
    );
  }
  const { eos_token: eos } = settings;
  const end = tokenizer.token_to_id((typeof eos === "string" ? eos : eos?.content) ?? "");
  return new HuggingFaceTokenizer(tokenizer, vocabSize, end === undefined ? [] : [end]);
}

class HuggingFaceTokenizer implements Tokenizer {
  readonly vocabSize: number;
  readonly endOfText: readonly number[];
  readonly #tokenizer: InstanceType<Package["Tokenizer"]>;

  constructor(
    tokenizer: InstanceType<Package["Tokenizer"]>,
    vocabSize: number,
    endOfText: readonly number[],
  ) {
    this.#tokenizer = tokenizer;
    this.vocabSize = vocabSize;
    this.endOfText = endOfText;
  }

  encode(text: string): number[] {
    return this.#tokenizer.encode(text).ids;
  }

  decode(tokens: readonly number[]): string {
    checkTokens("decode tokens", tokens, this.vocabSize);
    const known = tokens.filter((token) => this.#tokenizer.id_to_token(token) !== undefined);
    if (known.length === 0) return "";
    return this.#tokenizer.decode(known, {
      skip_special_tokens: true,
      clean_up_tokenization_spaces: false,
    });
  }
}

function parseJson<Value extends object>(text: string, file: string): Value {
  const value = readTokenizer(() => JSON.parse(text), file);
  if (typeof value === "object" && value !== null) return value;
  throw new CheckpointError(sentence(`read ${file}`, "it must be a JSON object", { value }));
}

/** The package throws whatever comes of a field that lacks or is of another kind. */
function readTokenizer<Value>(read: () => Value, file: string): Value {
  try {
    return read();
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    throw new CheckpointError(`Cannot read ${file} as it is no tokenizer: ${error}`, {
      cause: error,
    });
  }
}
