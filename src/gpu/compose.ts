/** Composing a WGSL module: a prelude of types and constants, then fragments in any order. */
import { withoutComments } from "./wgsl_text.ts";

/** What a module is made of. */
export interface WgslModule {
  /** Extensions to declare besides f16, which shows in the types. */
  enables?: readonly string[];
  /** Aliases of types, such as `T` for the storage element. */
  types?: Readonly<Record<string, string>>;
  /** Whole-number constants, in upper snake case. */
  constants: Readonly<Record<string, number>>;
  /** Texts that declare; exactly one has the entry point `main`. One that is given twice counts once. */
  fragments: readonly string[];
  /** Texts in WGSL that only some compilers know, and the host's parser does not: they bind nothing. */
  extensions?: readonly string[];
}

/** The module's text as compilers get it, with marked loops written out. */
export function compose(module: WgslModule): string {
  const { fragments, extensions = [] } = module;
  const whole = { ...module, fragments: [...fragments, ...extensions] };
  return textOf(whole, (fragment) => unroll(withoutComments(fragment), module.constants));
}

/** The module's text as it is written: shorter, and with the same bindings. */
export function declare(module: WgslModule): string {
  return textOf(module, (fragment) => fragment);
}

function textOf(
  { enables = [], types = {}, constants, fragments }: WgslModule,
  write: (fragment: string) => string,
): string {
  const usesF16 = Object.values(types).some((type) => type.includes("f16"));
  const enabled = [...(usesF16 ? ["f16"] : []), ...enables].map((name) => `enable ${name};`);
  const aliases = Object.entries(types).map(([name, type]) => `alias ${name} = ${type};`);
  const values = Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;`);
  const written = [...new Set(fragments)].map(write);
  return [...enabled, ...aliases, ...values, ...written].join("\n");
}

const UNROLLED = /\/\*unroll\*\/ for \(var (\w+) = 0u; \1 < (\w+); \1\+\+\) \{/;

/**
 * Writes out the loops marked `unroll`, whose bound is a constant: what compilers may leave undone, and what keeps arrays
 * in registers.
 */
function unroll(text: string, constants: Readonly<Record<string, number>>): string {
  const loop = UNROLLED.exec(text);
  if (!loop) return text;
  const [head, counter, bound] = loop;
  if (!(bound in constants)) {
    throw new SyntaxError(`Cannot unroll a loop as ${bound} is no constant`);
  }
  const start = loop.index + head.length;
  const end = closingBrace(text, start);
  // A member may have the counter's name.
  const name = new RegExp(`(?<!\\.\\s*)\\b${counter}\\b`, "g");
  const body = text.slice(start, end);
  const copies = Array.from(
    { length: constants[bound] },
    (_, i) => `{${body.replace(name, `${i}u`)}}`,
  );
  return unroll(text.slice(0, loop.index) + copies.join("\n") + text.slice(end + 1), constants);
}

function closingBrace(text: string, start: number): number {
  for (let i = start, depth = 1; i < text.length; i++) {
    if (text[i] === "{") depth++;
    if (text[i] === "}" && --depth === 0) return i;
  }
  throw new SyntaxError("Cannot unroll a loop as its brace is not closed");
}
