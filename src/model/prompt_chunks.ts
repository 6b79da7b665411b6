/** After the chunks of `maxSeqLen`, a prompt's rest goes in powers of this: few sequence lengths are compiled. */
const REST_BASE = 8;

/** Cuts a prompt into chunks of `maxSeqLen` tokens, then of powers of {@linkcode REST_BASE} (chunked prefill). */
export function promptChunks(
  tokens: readonly number[],
  maxSeqLen: number,
): (readonly number[])[] {
  const chunks = [];
  let start = 0;
  for (let size = maxSeqLen; start < tokens.length;) {
    if (tokens.length - start < size) {
      size = REST_BASE ** Math.floor(Math.log(tokens.length - start) / Math.log(REST_BASE));
    }
    chunks.push(tokens.slice(start, start + size));
    start += size;
  }
  return chunks;
}
