/** Reads the body of a request, up to a limit and within a time. */
import { ApiError } from "./api_error.ts";

/** Most that a body may take. */
export interface BodyLimits {
  maxBytes: number;
  /** Milliseconds until all of it must be there. */
  timeout: number;
}

/**
 * The JSON of a body.
 *
 * @throws {ApiError} If it is too long or too slow, no UTF-8, or no JSON.
 */
export async function readJson(
  request: Request,
  { maxBytes, timeout }: BodyLimits,
): Promise<unknown> {
  const tooLong = new ApiError(413, `the body must be at most ${maxBytes} bytes`, {
    code: "body_too_long",
  });
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLong;
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = request.body?.getReader();
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    void reader?.cancel("too slow");
  }, timeout);
  try {
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      bytes += value.length;
      if (bytes > maxBytes) {
        await reader.cancel("too long");
        throw tooLong;
      }
      chunks.push(value);
    }
  } finally {
    clearTimeout(timer);
  }
  if (isLate) {
    throw new ApiError(408, `the body must come within ${timeout} ms`, { code: "body_too_slow" });
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(joined(chunks, bytes));
    return JSON.parse(text);
  } catch (error) {
    const kind = error instanceof SyntaxError ? "JSON" : "UTF-8";
    throw new ApiError(400, `the body must be ${kind}: ${(error as Error).message}`.slice(0, 300), {
      code: "invalid_body",
    });
  }
}

function joined(chunks: readonly Uint8Array[], bytes: number): Uint8Array {
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}
