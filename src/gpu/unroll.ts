/** Loops of WGSL that are written out: what compilers may leave undone, and what keeps arrays in registers. */

const UNROLLED = /\/\*unroll\*\/ for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{/;

/**
 * Writes out the loops that are marked `unroll`.
 *
 * @param text WGSL without comments.
 * @param constants The bounds of its loops.
 * @throws {SyntaxError} If a bound is no constant, or a brace is not closed.
 */
export function unroll(text: string, constants: Readonly<Record<string, number>>): string {
  const loop = UNROLLED.exec(text);
  if (!loop) return text;
  const [head, counter, bound] = loop;
  if (!(bound in constants)) {
    throw new SyntaxError(`Cannot unroll a loop as ${bound} is no constant`);
  }
  const start = loop.index + head.length;
  const end = closingBrace(text, start);
  // A member may have the counter's name.
  const name = new RegExp(`(?<!\\.\\s*)\\b${counter}\\b`, "g");
  const body = text.slice(start, end);
  const copies = Array.from(
    { length: constants[bound] },
    (_, i) => `{${body.replace(name, `${i}u`)}}`,
  );
  return unroll(text.slice(0, loop.index) + copies.join("\n") + text.slice(end + 1), constants);
}

function closingBrace(text: string, start: number): number {
  for (let i = start, depth = 1; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}" && --depth === 0) return i;
  }
  throw new SyntaxError("Cannot unroll a loop as its brace is not closed");
}
