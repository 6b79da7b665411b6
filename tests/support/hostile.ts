/** Calls with values of the wrong kind, in place of each argument and of each field of it. */
import type { Random } from "./random.ts";
import type { RightCalls } from "./right_calls.ts";

/** Where a value lies: the number of an argument, then names of fields. */
type Path = readonly (string | number)[];

/** Deeper fields are those of what a file or a weight holds. */
const DEEPEST = 5;

/** A value that nothing takes. */
const NOTHING = Symbol("of no kind");

/** Values that most places do not take, and some do. The text is a path at which nothing can be read or written. */
const STRANGE: readonly unknown[] = [
  ...[null, undefined, true, 1n, NaN, -1, 0.5, 2 ** 53, "deno.json/place", [], [null], [[1n]], {}],
  ...[() => 1, Object.create(null), cyclic(), new Map(), new Uint8Array(2)],
];

/** The names that {@linkcode RightCalls.given} should have: whatever can be called with arguments, of what modules export. */
export function callable(exports: Readonly<Record<string, unknown>>): string[] {
  return Object.entries(exports).flatMap(([name, value]) => {
    if (typeof value !== "function" || value.prototype instanceof Error) return [];
    if (!/^class\b/.test(String(value))) return takesArguments(value) ? [name] : [];
    return [...taking(value, `${name}.`), ...taking(value.prototype, `${name}#`)];
  });
}

/** The methods of an object that take arguments. */
function taking(owner: object, prefix: string): string[] {
  return Object.entries(Object.getOwnPropertyDescriptors(owner))
    .filter(([name, { value }]) => name !== "constructor" && takesArguments(value))
    .map(([name]) => prefix + name);
}

function takesArguments(value: unknown): boolean {
  return typeof value === "function" && !/^[^(]*\(\s*\)/.test(String(value));
}

/** What to call by a name of {@linkcode RightCalls.given}. */
function called(
  name: string,
  exports: Readonly<Record<string, unknown>>,
  instances: RightCalls["instances"],
): (...given: readonly unknown[]) => unknown {
  // deno-lint-ignore no-explicit-any
  const all = exports as any;
  const [, creating, owner, kind, method] = /^(new )?(\w+)(?:([.#])(\w+))?$/.exec(name)!;
  if (creating) return (...given) => new all[owner](...given);
  if (kind === undefined) return all[owner];
  // deno-lint-ignore no-explicit-any
  const target = kind === "." ? all[owner] : (instances as any)[owner];
  return (...given) => target[method](...given);
}

/** Makes each right call, and then wrong ones; returns what was not refused as it should be. */
export async function hostileCalls(
  exports: Readonly<Record<string, unknown>>,
  { given, instances }: RightCalls,
  valuesOf: (strange: readonly unknown[]) => readonly unknown[],
): Promise<string[]> {
  const faults: string[] = [];
  for (const [name, right] of Object.entries(given)) {
    const call = called(name, exports, instances);
    const attempt = async (args: readonly unknown[]) => {
      try {
        await letGo(await call(...args), [...args, ...Object.values(instances)]);
      } catch (error) {
        return error instanceof Error ? error : new Error(String(error));
      }
    };
    const refused = await attempt(right);
    if (refused) faults.push(`${name}, called rightly: ${told(refused)}`);
    for (const path of places(right)) {
      for (const value of [NOTHING, ...valuesOf(STRANGE)]) {
        const error = await attempt(replaced(right, path, value));
        if (error ? isOurs(error, exports) : value !== NOTHING) continue;
        const what = `${name}, ${path.join(".")} = ${typeof value} ${Deno.inspect(value)}`;
        faults.push(`${what}: ${error ? told(error) : "was taken"}`);
      }
    }
  }
  return faults;
}

/** An error, and where in the library it comes from. */
function told({ name, message, stack }: Error): string {
  const frame = stack?.split("\n").find((line) => line.includes("/src/"));
  return `${name}: ${message}${frame ?? ""}`;
}

/** Whether an error says in words of the library what cannot be done, and why; errors of its own kinds are in its words. */
function isOurs(error: Error, exports: Readonly<Record<string, unknown>>): boolean {
  const isOwn = Object.values(exports).includes(error.constructor);
  return (isOwn || /^Cannot .+ as .+/s.test(error.message)) && error.message.length <= 2000;
}

/** Frees what a call made. */
async function letGo(made: unknown, kept: readonly unknown[]): Promise<void> {
  if (typeof made !== "object" || made === null || kept.includes(made)) return;
  if ("cancel" in made) (made as { cancel(): void }).cancel();
  else if (Symbol.asyncIterator in made) await readSome(made as AsyncIterable<unknown>);
  else if ("destroy" in made) (made as { destroy(): void }).destroy();
  else if ("stop" in made) await (made as { stop(): Promise<void> }).stop();
  else if ("close" in made) await (made as { close(): Promise<void> }).close();
}

/** Reads to the end, or for a while what may have none: what is refused is so at the first reading. */
async function readSome(items: AsyncIterable<unknown>): Promise<void> {
  const { promise: over, resolve } = Promise.withResolvers<void>();
  const reading = Array.fromAsync(items);
  const timer = setTimeout(resolve, 200);
  await Promise.race([reading, over]).finally(() => clearTimeout(timer));
  reading.catch(() => {});
}

/** Every argument, and every field of those that are plain objects or arrays. */
function* places(holder: unknown, path: Path = []): Iterable<Path> {
  if (path.length > 0) yield path;
  for (const key of path.length < DEEPEST ? fieldsOf(holder) : []) {
    // Elements of an array are alike.
    if (path.length > 0 && Array.isArray(holder) && key !== 0) continue;
    yield* places((holder as Record<string | number, unknown>)[key], [...path, key]);
  }
}

function fieldsOf(holder: unknown): (string | number)[] {
  if (Array.isArray(holder)) return [...holder.keys()];
  const isPlain = typeof holder === "object" && holder?.constructor === Object;
  return isPlain ? Object.keys(holder) : [];
}

/** The same with another value at a place. */
function replaced<Holder>(holder: Holder, [key, ...rest]: Path, value: unknown): Holder {
  const copy = (Array.isArray(holder) ? [...holder] : { ...holder }) as Holder;
  const field = key as keyof Holder;
  copy[field] = rest.length === 0
    ? value as Holder[keyof Holder]
    : replaced(holder[field], rest, value);
  return copy;
}

function cyclic(): object {
  const object: { itself?: object } = {};
  object.itself = object;
  return object;
}

/** The values that are tried at each place: one, drawn anew for each, or with `-- --every-value` all. */
export function triedValues(
  random: Random,
): (strange: readonly unknown[]) => readonly unknown[] {
  const isThorough = Deno.args.includes("--every-value");
  return (strange) => isThorough ? strange : [random.pick(strange)];
}
