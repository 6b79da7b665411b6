// A stand-in for `parseArgs` of `@std/cli/parse-args`, for machines where JSR cannot be reached.
// Same results and types for the options below, where names have no dots; `boolean: true` and `stopEarly` are left out.

/** What the caller says about the options; see `@std/cli/parse-args`. */
export interface ParseOptions<
  S extends string = string,
  B extends string = string,
  C extends string = string,
  N extends string = string,
  D extends Record<string, unknown> | undefined = Record<string, unknown> | undefined,
  A extends Aliases | undefined = Aliases | undefined,
  DoubleDash extends boolean = boolean,
> {
  /** Names whose values stay strings; without a value, "". */
  string?: S | readonly S[];
  /** Names that take no value but "true" and "false"; false where absent. */
  boolean?: B | readonly B[];
  /** Names whose values are gathered in an array. */
  collect?: C | readonly C[];
  /** Names that `--no-name` makes false. */
  negatable?: N | readonly N[];
  /** Values for absent names. */
  default?: D;
  /** Other names for a name. */
  alias?: A;
  /** Called with every argument that is not declared; it is dropped if this returns false. */
  unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  /** Gather what follows `--` under that name, instead of under `_`. */
  "--"?: DoubleDash;
}

type Aliases<Name extends string = string> = Partial<Record<string, Name | readonly Name[]>>;

/** false, where `K` can be negated. */
type Negated<K, N> = K extends N ? false : never;

type Declared<S extends string, B extends string, C extends string, N extends string> =
  & { [K in Exclude<S, C>]?: string | Negated<K, N> }
  & { [K in Extract<S, C>]: string[] | Negated<K, N> }
  & { [K in Exclude<B, C>]: boolean }
  & { [K in Extract<B, C>]: boolean[] }
  & { [K in Exclude<C, S | B>]: unknown[] | Negated<K, N> };

type WithDefaults<T, D> = D extends undefined ? T
  :
    & Omit<T, keyof D>
    & { -readonly [K in keyof D]: K extends keyof T ? D[K] | NonNullable<T[K]> : unknown };

type WithAliases<T, A> = {
  [K in keyof T as K | (K extends keyof A ? Listed<A[K]> : never)]: T[K];
};

/** The names in an alias entry, where they are known to the type. */
type Listed<T> = T extends (infer Name extends string)[] ? Literal<Name>
  : T extends string ? Literal<T>
  : never;
type Literal<Name extends string> = string extends Name ? never : Name;

// deno-lint-ignore no-explicit-any
type Anything = Record<string, any>;

/** What `parseArgs` returns; the arguments that are no options are under `_`. */
export type Args<T = Anything, DoubleDash extends boolean = false> =
  & { [K in keyof T]: T[K] }
  & { _: (string | number)[] }
  & (true extends DoubleDash ? { "--": string[] } : unknown);

/** Parses command line arguments: `--name value`, `--name=value`, `--no-name`, `-abc value`, `-n5`. */
export function parseArgs<
  S extends string = never,
  B extends string = never,
  C extends string = never,
  N extends string = never,
  D extends Record<string, unknown> | undefined = undefined,
  A extends Aliases<Name> | undefined = undefined,
  DoubleDash extends boolean = false,
  Name extends string = string,
>(
  args: readonly string[],
  options: ParseOptions<S, B, C, N, D, A, DoubleDash> = {},
): Args<
  [S | B | C] extends [never] ? Anything
    : Record<string, unknown> & WithAliases<WithDefaults<Declared<S, B, C, N>, D>, A>,
  DoubleDash
> {
  const { alias = {}, default: defaults = {}, unknown } = options;
  const namesOf = aliasGroups(alias);
  const strings = declared(options.string, namesOf);
  const booleans = declared(options.boolean, namesOf);
  const collected = declared(options.collect, namesOf);
  const negatable = declared(options.negatable, namesOf);

  const found = new Map<string, unknown>();
  const positional: (string | number)[] = [];

  function set(name: string, value: string | boolean, arg: string, gather = true) {
    const isDeclared = [strings, booleans, collected, namesOf].some((names) => names.has(name));
    if (!isDeclared && unknown?.(arg, name, value) === false) return;
    const typed = typeof value === "string" && !strings.has(name) ? numberOr(value) : value;
    for (const key of namesOf.get(name) ?? [name]) {
      const before = found.get(key);
      if (!gather || !collected.has(name)) found.set(key, typed);
      else if (Array.isArray(before)) before.push(typed);
      else found.set(key, before ? [before, typed] : [typed]);
    }
  }

  const end = args.indexOf("--");
  const parsed = end < 0 ? args : args.slice(0, end);
  const rest = end < 0 ? [] : args.slice(end + 1);

  for (let i = 0; i < parsed.length; i++) {
    const arg = parsed[i];

    /** Sets an option that has no value attached: the next argument may be its value. */
    const setWithNext = (name: string, isOption: RegExp) => {
      const next = parsed[i + 1];
      if (next && !booleans.has(name) && !isOption.test(next)) {
        set(name, next, arg);
        i++;
      } else if (next === "true" || next === "false") {
        set(name, next === "true", arg);
        i++;
      } else {
        set(name, strings.has(name) ? "" : true, arg);
      }
    };

    const long = /^--(?<no>no-)?(?<name>.+?)(?:=(?<value>.*))?$/s.exec(arg)?.groups;
    if (long) {
      const { no, name, value } = long;
      if (value !== undefined) set(name, booleans.has(name) ? value !== "false" : value, arg);
      else if (no && negatable.has(name)) set(name, false, arg, false);
      else setWithNext((no ?? "") + name, /^-/);
    } else if (/^-./s.test(arg)) {
      const cluster = shortOptions(arg.slice(1));
      for (const { name, value } of cluster) {
        if (value === undefined) set(name, strings.has(name) ? "" : true, arg);
        else if (value === NEXT) setWithNext(name, /^--?[^-]/);
        else set(name, value, arg);
      }
    } else if (unknown?.(arg) !== false) {
      positional.push(strings.has("_") ? arg : numberOr(arg));
    }
  }

  for (const [name, value] of Object.entries(defaults)) {
    if (found.has(name)) continue;
    for (const key of namesOf.get(name) ?? [name]) found.set(key, value);
  }
  for (const name of booleans) {
    if (!found.has(name)) found.set(name, collected.has(name) ? [] : false);
  }
  for (const name of strings) {
    if (!found.has(name) && collected.has(name)) found.set(name, []);
  }

  return {
    ...Object.fromEntries(found),
    _: options["--"] ? positional : [...positional, ...rest],
    ...options["--"] && { "--": rest },
    // deno-lint-ignore no-explicit-any
  } as any;
}

const NEXT = Symbol("the next argument may be the value");

/** The options in a cluster such as `abc`, `n5`, `n=5`: all but the last stand alone, unless a value is seen to begin. */
function shortOptions(cluster: string): { name: string; value?: string | typeof NEXT }[] {
  const options: { name: string; value?: string | typeof NEXT }[] = [];
  for (let i = 0; i < cluster.length - 1; i++) {
    const name = cluster[i];
    const rest = cluster.slice(i + 1);
    if (rest === "-") return [...options, { name, value: "-" }];
    if (rest === "=") return [...options, { name, value: "" }];
    if (/[A-Za-z]/.test(name)) {
      const value = /=(.+)/.exec(rest)?.[1];
      if (value !== undefined) return [...options, { name, value }];
      if (/-?\d+(\.\d*)?(e-?\d+)?$/.test(rest)) return [...options, { name, value: rest }];
    }
    if (/^\W./s.test(rest)) return [...options, { name, value: rest }];
    options.push({ name });
  }
  const last = cluster.slice(-1);
  return last === "-" ? options : [...options, { name: last, value: NEXT }];
}

/** For every name that has or is an alias: itself and all others of its group. */
function aliasGroups(alias: Aliases): Map<string, Set<string>> {
  const groups = new Map<string, Set<string>>();
  for (const [name, others] of Object.entries(alias)) {
    if (others === undefined) throw new TypeError("Alias value must be defined");
    const group = [name, ...[others].flat()];
    for (const member of group) groups.set(member, new Set([member, ...group]));
  }
  return groups;
}

function declared(names: string | readonly string[] = [], namesOf: Map<string, Set<string>>) {
  return new Set([names].flat().flatMap((name) => [...namesOf.get(name) ?? [name]]));
}

function numberOr(text: string): string | number {
  return /\S/.test(text) && Number.isFinite(Number(text)) ? Number(text) : text;
}
