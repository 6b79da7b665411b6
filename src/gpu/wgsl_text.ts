/** Comments and white space of WGSL. */

/** The start of a comment, or the marker of a loop to unroll, which is none. */
const COMMENT = /\/\*unroll\*\/|\/\/[^\n]*|\/\*/g;

/** A text without its comments, each of which separates like a space. The markers of loops to unroll stay. */
export function withoutComments(text: string): string {
  let code = "";
  let start = 0;
  COMMENT.lastIndex = 0;
  for (let found; (found = COMMENT.exec(text));) {
    const [token] = found;
    if (token === "/*unroll*/") continue;
    code += `${text.slice(start, found.index)} `;
    start = token === "/*" ? endOfBlock(text, COMMENT.lastIndex) : COMMENT.lastIndex;
    COMMENT.lastIndex = start;
  }
  return code + text.slice(start);
}

/** Where a block comment ends, others in it included. */
function endOfBlock(text: string, start: number): number {
  let depth = 1;
  for (const { 0: token, index } of text.slice(start).matchAll(/\/\*|\*\//g)) {
    depth += token === "/*" ? 1 : -1;
    if (depth === 0) return start + index + token.length;
  }
  return text.length;
}

/** A text without comments, indentation and blank lines. Lines stay lines, so that compilers' messages point into it. */
export function condensed(text: string): string {
  return withoutComments(text).split("\n").map((line) => line.trim()).filter(Boolean).join("\n");
}
