/** Milliseconds after which something hangs: compiling anew, on a machine that has other work, takes long too. */
const HANGS_MS = 180_000;

/** Milliseconds between two looks at a condition. */
const LOOK_MS = 5;

/** Fails instead of hanging. */
export async function within<Value>(
  pending: Promise<Value>,
  what: string = "it",
  ms: number = HANGS_MS,
): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} hangs`)), ms);
  try {
    return await Promise.race([pending, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until a condition holds, of which `what` tells; fails instead of hanging. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms: number = HANGS_MS,
): Promise<void> {
  const end = performance.now() + ms;
  while (!await condition()) {
    if (performance.now() > end) throw new Error(`${what}: waited for in vain`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
