/** Milliseconds after which something hangs: compiling anew, on a machine that has other work, takes long too. */
const HANGS_MS = 180_000;

/** Fails instead of hanging. */
export async function within<Value>(pending: Promise<Value>, what = "it"): Promise<Value> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`${what} hangs`)), HANGS_MS);
  try {
    return await Promise.race([pending, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
