/** Counts the calls of some methods while `work` runs. */
export async function countCalls<Target extends object, Name extends keyof Target & string>(
  target: Target,
  names: readonly Name[],
  work: () => void | Promise<void>,
): Promise<Record<Name, number>> {
  const counts = Object.fromEntries(names.map((name) => [name, 0])) as Record<Name, number>;
  for (const name of names) {
    const method = target[name] as (...args: unknown[]) => unknown;
    const counted = (...args: unknown[]) => {
      counts[name]++;
      return method.apply(target, args);
    };
    Object.defineProperty(target, name, { value: counted, configurable: true });
  }
  try {
    await work();
  } finally {
    for (const name of names) delete target[name];
  }
  return counts;
}
