/** Composing a WGSL module: a prelude of types and constants, then fragments in any order. */

/** What a module is made of. */
export interface WgslModule {
  /** Aliases of types, such as `T` for the storage element. */
  types?: Readonly<Record<string, string>>;
  /** Whole-number constants, in upper snake case. */
  constants: Readonly<Record<string, number>>;
  /** Texts that declare; exactly one has the entry point `main`. */
  fragments: readonly string[];
}

/** The module's text. */
export function compose({ types = {}, constants, fragments }: WgslModule): string {
  const enables = Object.values(types).some((type) => type.includes("f16")) ? ["enable f16;"] : [];
  const aliases = Object.entries(types).map(([name, type]) => `alias ${name} = ${type};`);
  const values = Object.entries(constants).map(([name, value]) => `const ${name} = ${value}u;`);
  return [...enables, ...aliases, ...values, ...fragments].join("\n");
}
