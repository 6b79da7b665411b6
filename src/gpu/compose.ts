/** Composing WGSL modules: types, constants and fragments of several pieces, joined into one text. */
import { sentence } from "../base/check.ts";
import type { WgslDialect } from "./device.ts";
import { unroll } from "./unroll.ts";
import { namesOf } from "./wgsl_names.ts";
import { withoutComments } from "./wgsl_text.ts";

/** Declarations that belong together, and the types and constants that they need. */
export interface WgslPiece {
  /** Aliases of types, such as `T` for the storage element. */
  types?: Readonly<Record<string, string>>;
  /** Whole-number constants, in upper snake case. */
  constants?: Readonly<Record<string, number>>;
  /** Texts of roles. */
  fragments?: readonly string[];
}

/** All pieces of a module, joined. */
export interface WgslModule extends Required<WgslPiece> {
  /** The name of its kernel, e.g. "attend". */
  label: string;
}

/** The kind of what is bound: of a buffer in WebGPU's layouts; a texture that a module reads, or one that it writes. */
export type BindingType = GPUBufferBindingType | "texture" | "storage-texture";

/** A buffer or a texture that a module reads or writes. */
export interface WgslBinding {
  /** The variable in its text, by which the host binds. */
  name: string;
  /** Its number in group 0. */
  binding: number;
  /** Its kind. */
  type: BindingType;
}

/** A module as compilers get it. */
export interface ComposedModule {
  code: string;
  bindings: readonly WgslBinding[];
}

/** Extensions, and what in the code of a module shows that it needs them. */
const EXTENSIONS: readonly { name: string; shows: RegExp; isOfDawn?: boolean }[] = [
  { name: "f16", shows: /\bf16\b/ },
  { name: "subgroups", shows: /\bsubgroup[A-Z]/, isOfDawn: true },
  { name: "chromium_experimental_subgroup_matrix", shows: /\bsubgroup_matrix_/ },
];

/** A buffer with its address space and access, or a texture, which has neither. */
const VARIABLE =
  /\bvar\s*(?:<\s*(uniform|storage)\s*(?:,\s*(read|read_write)\s*)?>\s*(\w+)|(\w+)\s*:\s*texture_(storage_)?2d\b)/g;

/**
 * Joins pieces into a module; a fragment that several of them bring counts once.
 *
 * @throws {RangeError} If two pieces give a constant or a type different values.
 */
export function join(label: string, ...pieces: readonly WgslPiece[]): WgslModule {
  const merged = <Value>(values: readonly (Readonly<Record<string, Value>> | undefined)[]) => {
    const all: Record<string, Value> = {};
    for (const [name, value] of values.flatMap((value) => Object.entries(value ?? {}))) {
      if (name in all && all[name] !== value) {
        throw new RangeError(
          sentence(`compose ${label}`, `${name} must have one value`, {
            one: all[name],
            another: value,
          }),
        );
      }
      all[name] = value;
    }
    return all;
  };
  return {
    label,
    types: merged(pieces.map(({ types }) => types)),
    constants: merged(pieces.map(({ constants }) => constants)),
    fragments: [...new Set(pieces.flatMap(({ fragments = [] }) => fragments))],
  };
}

/** A role under other names, for a module that has it twice. */
export function renamed(fragment: string, names: Readonly<Record<string, string>>): string {
  // A member may have the same name.
  return fragment.replace(
    /(?<!\.\s*)\b[A-Za-z_]\w*/g,
    (name) => Object.hasOwn(names, name) ? names[name] : name,
  );
}

/**
 * The text of a module: its extensions, its types, its constants, then its fragments, with marked loops written out and
 * with numbers for its bindings, in the order of their variables.
 *
 * @throws {TypeError} If a fragment needs a name that nothing declares, or two declare one.
 * @throws {SyntaxError} If a loop cannot be written out.
 */
export function compose(module: WgslModule, dialect: WgslDialect): ComposedModule {
  const { types, constants } = module;
  const fragments = module.fragments.map(withoutComments);
  checkNames(module, fragments);
  const bindings: WgslBinding[] = [];
  const numbered = (fragment: string) =>
    fragment.replace(VARIABLE, (variable, space, access, buffer, texture, isStored) => {
      const binding = bindings.length;
      const storage = access === "read_write" ? "storage" : "read-only-storage";
      const ofBuffer = space === "uniform" ? "uniform" : storage;
      const ofTexture = isStored ? "storage-texture" : "texture";
      bindings.push(
        buffer
          ? { name: buffer, binding, type: ofBuffer }
          : { name: texture, binding, type: ofTexture },
      );
      return `@group(0) @binding(${binding}) ${variable}`;
    });
  const code = [
    ...Object.entries(types).map(([name, type]) => `alias ${name} = ${type};`),
    ...Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;`),
    ...fragments.map((fragment) => numbered(unroll(fragment, constants))),
  ].join("\n");
  const enables = EXTENSIONS.filter(({ shows, isOfDawn }) =>
    shows.test(code) && (dialect.enableSubgroups || !isOfDawn)
  ).map(({ name }) => `enable ${name};\n`);
  return { code: enables.join("") + code, bindings };
}

/** Throws unless each name that is needed is declared, once. */
function checkNames({ label, types, constants }: WgslModule, fragments: readonly string[]): void {
  const names = [...fragments, ...Object.values(types)].map(namesOf);
  const declared = [
    ...Object.keys(types),
    ...Object.keys(constants),
    ...names.flatMap(({ declared }) => [...declared]),
  ];
  const action = `compose ${label}`;
  const once = new Set(declared);
  if (once.size < declared.length) {
    const again = declared.filter((name, i) => declared.indexOf(name) < i);
    throw new TypeError(sentence(action, "one piece must declare a name", { declared: again }));
  }
  const needed = new Set(names.flatMap(({ needed }) => [...needed]));
  const undeclared = [...needed].filter((name) => !once.has(name));
  if (undeclared.length === 0) return;
  const rule = "a piece must declare each name that another needs";
  throw new TypeError(sentence(action, rule, { undeclared }));
}
