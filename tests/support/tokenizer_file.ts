// Tokenizer files of llama2.c, as tests write them.

/** How the tokens of bytes are written, from 0 on. */
export const byteNames = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);

/** The token after the special ones and the bytes. */
export const FIRST_PIECE = 3 + 256;

/** What else is in the file. */
export interface FileOptions {
  longest?: number;
  scores?: (token: number) => number;
}

/** A llama2.c tokenizer of the special tokens, the bytes and these pieces; each scores below the one before it. */
export function tokenizerFile(
  pieces: readonly string[],
  { longest, scores = (token) => -token }: FileOptions = {},
): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const all = ["<unk>", "\n<s>\n", "\n</s>\n", ...byteNames, ...pieces]
    .map((piece) => encoder.encode(piece));
  const size = all.reduce((sum, { length }) => sum + 8 + length, 4);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setInt32(0, longest ?? Math.max(...all.map(({ length }) => length)), true);
  let offset = 4;
  all.forEach((piece, token) => {
    view.setFloat32(offset, scores(token), true);
    view.setInt32(offset + 4, piece.length, true);
    bytes.set(piece, offset + 8);
    offset += 8 + piece.length;
  });
  return bytes;
}
