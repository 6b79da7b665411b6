// Can JSR be reached from here?

/**
 * Whether the registry that `@std` comes from answers in time.
 *
 * @param url The registry's address.
 * @param timeout How long to wait, in milliseconds.
 */
export async function jsrAnswers(
  url = Deno.env.get("JSR_URL") ?? "https://jsr.io",
  timeout = 4000,
): Promise<boolean> {
  try {
    const response = await fetch(`${url.replace(/\/$/, "")}/@std/assert/meta.json`, {
      signal: AbortSignal.timeout(timeout),
    });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
