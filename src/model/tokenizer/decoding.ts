/**
 * From tokens to text in the steps of a `tokenizer.json`: the decoders of
 * {@link https://github.com/huggingface/tokenizers/tree/main/tokenizers/src/decoders | Hugging Face's tokenizers}. Bytes that are
 * no UTF-8 become U+FFFD one malformed sequence at a time, and not a whole run at once, so that text can be streamed.
 */
import type { Fields } from "./fields.ts";
import type { Step } from "./steps.ts";

/** A step over the texts of tokens. */
type Decode = (texts: readonly string[]) => readonly string[];

/** The values that decoders need besides their own fields. */
export interface DecodingOptions {
  /** Added tokens, which are text and not bytes written as characters. */
  added: ReadonlySet<string>;
  /** Compiles a pattern that is a regular expression in Oniguruma's syntax. */
  compile(pattern: Record<string, unknown>): RegExp;
}

/**
 * Makes text of tokens: all steps, one after the other, and their texts joined. Without any, tokens are words.
 *
 * @throws {CheckpointError} If there is no such step, or it is not as it must be.
 */
export function decoding(
  steps: readonly Step[],
  options: DecodingOptions,
): (tokens: readonly string[]) => string {
  if (steps.length === 0) return (tokens) => tokens.join(" ");
  const all = steps.map((step) => decodeOf(step, options));
  return (tokens) => all.reduce((texts, decode) => decode(texts), tokens).join("");
}

function decodeOf({ type, fields }: Step, { added, compile }: DecodingOptions): Decode {
  switch (type) {
    case "ByteLevel":
      return (texts) => [decodeUtf8(texts.flatMap((text) => bytesOf(text, added)))];
    case "ByteFallback":
      return decodeBytes;
    case "Fuse":
      return (texts) => [texts.join("")];
    case "Replace":
      return replacing(fields, compile);
    case "Strip":
      return stripping(fields);
    case "Metaspace":
      return spacing(fields);
    case "BPEDecoder": {
      const suffix = fields.text("suffix") ?? "</w>";
      return (texts) =>
        texts.map((text, i) => text.replaceAll(suffix, i === texts.length - 1 ? "" : " "));
    }
    case "WordPiece":
      return joiningWords(fields);
    default:
      throw fields.error("it must be a decoder of a language model", { type });
  }
}

/** The 188 characters of Latin-1 that show, and the others moved behind it: how GPT-2's tokenizer writes bytes. */
const BYTES: ReadonlyMap<string, number> = (() => {
  const shows = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let moved = 0;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  return new Map(
    bytes.map((byte) => [String.fromCharCode(shows(byte) ? byte : 256 + moved++), byte]),
  );
})();

/** The bytes that a token's characters stand for, or else are. */
function bytesOf(token: string, added: ReadonlySet<string>): number[] {
  const bytes = Array.from(token, (character) => BYTES.get(character));
  const isWritten = !added.has(token) && bytes.every((byte) => byte !== undefined);
  return isWritten ? bytes as number[] : [...new TextEncoder().encode(token)];
}

/** Bytes by name, such as `<0xE2>`, become text where they stand beside each other. */
function decodeBytes(texts: readonly string[]): string[] {
  const decoded: string[] = [];
  let run: number[] = [];
  const endRun = () => {
    if (run.length > 0) decoded.push(decodeUtf8(run));
    run = [];
  };
  for (const text of texts) {
    const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(text);
    if (byte) run.push(parseInt(byte[1], 16));
    else {
      endRun();
      decoded.push(text);
    }
  }
  endRun();
  return decoded;
}

function decodeUtf8(bytes: readonly number[]): string {
  // U+FEFF within a text is a character as any other.
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
}

function replacing(fields: Fields, compile: DecodingOptions["compile"]): Decode {
  const pattern = fields.required("pattern", fields.section("pattern"));
  const content = fields.required("content", fields.text("content"));
  const what = pattern.text("String") ?? compile(pattern.values);
  return (texts) => texts.map((text) => text.replaceAll(what, () => content));
}

function stripping(fields: Fields): Decode {
  const content = fields.required("content", fields.text("content"));
  const start = fields.count("start", [0, 2 ** 31]) ?? 0;
  const stop = fields.count("stop", [0, 2 ** 31]) ?? 0;
  if ([...content].length !== 1) {
    throw fields.error('"content" must be one character', { content });
  }
  return (texts) =>
    texts.map((text) => {
      const characters = [...text];
      const isOther = (character: string) => character !== content;
      const first = characters.findIndex(isOther);
      if (first < 0) {
        return characters.slice(0, Math.max(0, characters.length - start - stop)).join("");
      }
      const last = characters.findLastIndex(isOther);
      const end = Math.max(last + 1, characters.length - stop);
      return characters.slice(Math.min(first, start), end).join("");
    });
}

/** A mark becomes a space; at the start of a text it is left out, as the tokenizer put it there. */
function spacing(fields: Fields): Decode {
  const mark = fields.text("replacement") ?? "▁";
  const usual = fields.flag("add_prefix_space") === false ? "never" : "always";
  const isPrefixed = (fields.text("prepend_scheme") ?? usual) !== "never";
  return (texts) => texts.map((text, i) => text.replaceAll(mark, i === 0 && isPrefixed ? "" : " "));
}

/** Pieces with a prefix go on with a word, others begin one. */
function joiningWords(fields: Fields): Decode {
  const prefix = fields.text("prefix") ?? "##";
  const cleans = fields.flag("cleanup") ?? true;
  return (texts) =>
    texts.map((text, i) => {
      const goesOn = i > 0 && text.startsWith(prefix);
      const word = goesOn ? text.slice(prefix.length) : i > 0 ? ` ${text}` : text;
      return cleans ? withoutSpaces(word) : word;
    });
}

/** English without the spaces that stand before punctuation and shortened words. */
function withoutSpaces(text: string): string {
  return text.replace(/ ([.?!,])/g, "$1").replaceAll(" ' ", "'").replaceAll(" n't", "n't")
    .replaceAll(" do not", " don't").replace(/ ('m|'s|'ve|'re)/g, "$1");
}
