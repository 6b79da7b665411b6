/** Text files as people's programs save them: UTF-8 with or without a byte order mark, and UTF-16 with one. */
import { CheckpointError } from "./errors.ts";
import { sentence } from "./check.ts";

/** The beginnings of encodings that have a byte order mark; text without one is UTF-8. */
const MARKS = [
  { encoding: "utf-8", bytes: [0xef, 0xbb, 0xbf] },
  { encoding: "utf-16le", bytes: [0xff, 0xfe] },
  { encoding: "utf-16be", bytes: [0xfe, 0xff] },
];

/**
 * Decodes a text file; its byte order mark, where there is one, is no part of the text.
 *
 * @param bytes The whole file.
 * @param what What messages call it.
 * @throws {CheckpointError} If the bytes are no text.
 */
export function decodeText(bytes: Uint8Array, what: string): string {
  const mark = MARKS.find(({ bytes: mark }) => mark.every((byte, i) => bytes[i] === byte));
  const encoding = mark?.encoding ?? "utf-8";
  const fail = (rule: string, cause?: unknown) => {
    const message = sentence(`read ${what}`, rule, { bytes: bytes.length, encoding });
    return new CheckpointError(message, { cause });
  };
  if (bytes.subarray(0, 2).includes(0)) {
    throw fail("it must be text, and UTF-16 must begin with a byte order mark (save it as UTF-8)");
  }
  if (encoding === "utf-16le" && bytes[2] === 0 && bytes[3] === 0) {
    throw fail("it must be text, and not in UTF-32 (save it as UTF-8)");
  }
  const text = bytes.subarray(mark?.bytes.length ?? 0);
  try {
    return new TextDecoder(encoding, { fatal: true, ignoreBOM: true }).decode(text);
  } catch (cause) {
    throw fail("it must be text in UTF-8 (save it so, or fetch it again if it is damaged)", cause);
  }
}
