import { sentence } from "../base/check.ts";

/**
 * Throws a `TypeError` where a buffer that is written is bound a second time, be it to be read or written: WebGPU refuses
 * that no earlier than the work is submitted.
 *
 * @param action What cannot be done.
 * @param rule Which buffers must be apart.
 * @param buffers Those that are written, and those that are only read.
 * @param values What the message shows.
 */
export function checkApart(
  action: string,
  rule: string,
  { written, read }: { written: readonly GPUBuffer[]; read: readonly GPUBuffer[] },
  values: Record<string, unknown>,
): void {
  const apart = new Set(written);
  if (apart.size === written.length && !read.some((buffer) => apart.has(buffer))) return;
  throw new TypeError(sentence(action, rule, values));
}
