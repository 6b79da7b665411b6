/** Whether a request has the key. */
import { ApiError } from "./api_error.ts";

/** A key, which is compared without telling by the time it takes how much of it was right. */
export class ApiKey {
  readonly #hash: Promise<Uint8Array>;

  constructor(key: string) {
    this.#hash = hashOf(key);
  }

  /** @throws {ApiError} If the request has another key, or none. */
  async check(request: Request): Promise<void> {
    const [, given = ""] = /^Bearer (.*)$/.exec(request.headers.get("authorization") ?? "") ?? [];
    const [own, other] = await Promise.all([this.#hash, hashOf(given)]);
    // Hashes of equal length, all of which is looked at.
    if (own.reduce((difference, byte, i) => difference | (byte ^ other[i]), 0) === 0) return;
    throw new ApiError(401, "the request must have the server's key: Authorization: Bearer KEY", {
      ...{ kind: "authentication_error", code: "invalid_api_key" },
      headers: { "www-authenticate": "Bearer" },
    });
  }
}

async function hashOf(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
