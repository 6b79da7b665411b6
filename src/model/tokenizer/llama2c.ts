/**
 * The tokenizer of llama2.c: pieces of UTF-8 with scores, merged greedily by score as SentencePiece does (Sennrich et al.
 * 2016, arXiv 1508.07909; Kudo and Richardson 2018, arXiv 1808.06226).
 *
 * The file, little-endian: int32 length of the longest piece; then for each token float32 score, int32 length, and the
 * piece's bytes. Tokens 0 to 2 are unknown, BOS and EOS; 3 to 258 are bytes, written `<0x00>` to `<0xFF>`, for characters
 * that are no piece.
 */
import { sentence } from "../../base/check.ts";
import { CheckpointError } from "../../base/errors.ts";
import { checkTokens } from "../check_tokens.ts";
import type { Tokenizer, TokenizerOptions } from "./tokenizer.ts";

const BOS = 1;
const EOS = 2;
const FIRST_BYTE = 3;
const BYTES = 256;
/** The token behind the special ones and the bytes. */
export const FIRST_PIECE = FIRST_BYTE + BYTES;
const SPACE = 0x20;

/** Bytes as a text of as many characters, each below 256: what can be compared and joined. */
type Latin1 = string;

/** A token of a file, and its rank among those that might be merged. */
export interface Piece {
  bytes: Latin1;
  score: number;
}

/**
 * Reads the tokenizer file of a llama2.c model.
 *
 * @throws {CheckpointError} If the file is damaged or cut short, or has not one piece for each token of the model.
 */
export function parseLlama2cTokenizer(file: Uint8Array, options: TokenizerOptions): Tokenizer {
  return new Llama2cTokenizer(readPieces(file, options));
}

/** The pieces of a file, one for each token; throws as `parseLlama2cTokenizer` does. */
export function readPieces(
  file: Uint8Array,
  { file: name, vocabSize }: Pick<TokenizerOptions, "file" | "vocabSize">,
): Piece[] {
  const fail = (rule: string, values: Record<string, unknown>): never => {
    throw new CheckpointError(sentence(`read ${name}`, rule, values));
  };
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const size = file.byteLength;
  if (size < 4) fail("it must begin with the length of the longest piece", { bytes: size });
  const longest = view.getInt32(0, true);
  const pieces: Piece[] = [];
  for (let offset = 4; offset < size;) {
    const token = pieces.length;
    if (offset + 8 > size) fail("it must not end inside a token", { token, offset, bytes: size });
    const score = view.getFloat32(offset, true);
    const length = view.getInt32(offset + 4, true);
    offset += 8;
    if (!Number.isFinite(score)) fail("scores must be finite", { token, score });
    if (length < 0 || length > longest) {
      fail("no piece may be longer than the longest", { token, length, longest });
    }
    if (offset + length > size) {
      fail("it must not end inside a token", { token, offset, length, bytes: size });
    }
    pieces.push({ bytes: latin1(file.subarray(offset, offset + length)), score });
    offset += length;
  }
  if (pieces.length !== vocabSize) {
    fail("it must have a piece for each token of the model", { tokens: pieces.length, vocabSize });
  }
  for (let byte = 0; byte < BYTES; byte++) {
    const token = FIRST_BYTE + byte;
    const expected = byteName(byte);
    const piece = pieces[token]?.bytes;
    if (piece !== expected) fail("tokens from 3 on must be the bytes", { token, piece, expected });
  }
  return pieces;
}

class Llama2cTokenizer implements Tokenizer {
  readonly endOfText = [BOS, EOS];
  readonly #pieces: readonly Piece[];
  readonly #tokens: ReadonlyMap<Latin1, number>;

  constructor(pieces: readonly Piece[]) {
    this.#pieces = pieces;
    this.#tokens = new Map(pieces.map(({ bytes }, token) => [bytes, token]));
  }

  get vocabSize(): number {
    return this.#pieces.length;
  }

  encode(text: string): number[] {
    if (text === "") return [BOS];
    // Words begin with their space, the first one as well.
    const tokens = Array.from(` ${text}`).flatMap((character) => this.#tokensOf(character));
    const merged = tokens.map((_, i) => this.#merged(tokens[i], tokens[i + 1]));
    for (let best = this.#best(merged); best !== undefined; best = this.#best(merged)) {
      tokens.splice(best, 2, merged[best]!);
      merged.splice(best, 2, this.#merged(tokens[best], tokens[best + 1]));
      if (best > 0) merged[best - 1] = this.#merged(tokens[best - 1], tokens[best]);
    }
    return [BOS, ...tokens];
  }

  decode(tokens: readonly number[]): string {
    checkTokens("decode tokens", tokens, this.vocabSize);
    const bytes = tokens.map((token, i) => {
      if (token === BOS || token === EOS) return "";
      const piece = this.#textOf(token);
      return tokens[i - 1] === BOS && piece.charCodeAt(0) === SPACE ? piece.slice(1) : piece;
    }).join("");
    const codes = Uint8Array.from(bytes, (byte) => byte.charCodeAt(0));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(codes);
  }

  /** The piece of a character, or else its bytes. */
  #tokensOf(character: string): number[] {
    const bytes = new TextEncoder().encode(character);
    const token = this.#tokens.get(latin1(bytes));
    return token === undefined ? Array.from(bytes, (byte) => FIRST_BYTE + byte) : [token];
  }

  /** The token of two pieces joined, where there is one. */
  #merged(left: number, right: number | undefined): number | undefined {
    if (right === undefined) return undefined;
    return this.#tokens.get(this.#pieces[left].bytes + this.#pieces[right].bytes);
  }

  /** Where the merged token of the highest score is, the leftmost of several. */
  #best(merged: readonly (number | undefined)[]): number | undefined {
    let [best, highest]: [number | undefined, number] = [undefined, -Infinity];
    merged.forEach((token, i) => {
      if (token === undefined || this.#pieces[token].score <= highest) return;
      [best, highest] = [i, this.#pieces[token].score];
    });
    return best;
  }

  #textOf(token: number): Latin1 {
    const byte = token - FIRST_BYTE;
    return byte >= 0 && byte < BYTES ? String.fromCharCode(byte) : this.#pieces[token].bytes;
  }
}

function latin1(bytes: Uint8Array): Latin1 {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

function byteName(byte: number): Latin1 {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}
