// Text files in the encodings that people's programs save.

/** A text in UTF-16, without a byte order mark unless the text begins with one. */
export function utf16(text: string, order: "little" | "big"): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(2 * text.length));
  for (let i = 0; i < text.length; i++) {
    view.setUint16(2 * i, text.charCodeAt(i), order === "little");
  }
  return new Uint8Array(view.buffer);
}
