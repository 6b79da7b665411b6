/** The text of a caller's function in WGSL: checked, and renamed so that no name of it meets one of the library's. */
import { sentence } from "../base/check.ts";
import { declarationsOf, namesOf } from "../gpu/wgsl_names.ts";
import { condensed } from "../gpu/wgsl_text.ts";

/** What a function is for. */
export type ModKind = "scoreMod" | "maskMod";

/** A function of the caller's: its text, and the names that matter in it. */
export interface ModText {
  /** The function's name. */
  name: string;
  /** The text. */
  wgsl: string;
  /** The name of its derivative, where it has one. */
  grad?: string;
  /** What it reads of tensors, by their names. */
  tensors: Readonly<Record<string, unknown>>;
  /** What it reads of scalars, by their names. */
  scalars: Readonly<Record<string, unknown>>;
}

/** The function that each kind is called by, how it is declared, and what comes before other names of its text. */
const KINDS = {
  scoreMod: {
    called: "modifiedScore",
    parameters: ["f32", "ScoreAt"],
    result: "f32",
    own: "score__",
  },
  maskMod: { called: "isSeenAt", parameters: ["ScoreAt"], result: "bool", own: "mask__" },
} as const;

/** The derivative of `modifiedScore` by the score. */
export const MOD_GRAD = "modifiedScoreGrad";

/** What comes before the name of a tensor. Neither the library nor a text has names with two underscores. */
const SHARED = "mod__";

/** The uniform that scalars are members of. */
export const SCALARS = "modScalars";

/** An identifier that is no member and no attribute, and the colon behind it. */
const NAME = /(?<![\w@])(?<!\.\s*)([A-Za-z_]\w*)(\s*:)?/g;

/** Operations that all invocations must take part in, where only some have a score to change. */
const TOGETHER = /\b(?:(?:subgroup|quad)[A-Z]\w*|\w+Barrier|workgroupUniformLoad)\b/;

/** The name that a tensor of the caller's has in a module. */
export function tensorVariable(name: string): string {
  return SHARED + name;
}

/** Throws unless a text declares its function, and nothing but what a function of one score may have. */
export function checkModText(action: string, kind: ModKind, mod: ModText): void {
  const { name, wgsl, grad, tensors, scalars } = mod;
  const code = codeOf(wgsl);
  const refuse = (rule: string, values: Record<string, unknown>): never => {
    throw new TypeError(sentence(action, `${kind}.wgsl must ${rule}`, values));
  };
  // deno-lint-ignore no-control-regex
  const [foreign] = code.match(/[^\x00-\x7f]/) ?? [];
  if (foreign) refuse("be of ASCII but for comments", { character: foreign });
  for (const declaration of declarationsOf(code)) {
    if (/^[\s;]*$/.test(declaration) || /^\s*(fn|const|struct|alias)\s/.test(declaration)) continue;
    refuse("declare functions, constants, structs and aliases alone", {
      declaration: declaration.trim(),
    });
  }
  const [twice] = code.match(/\w*__\w*/) ?? [];
  if (twice) refuse("have no name with two underscores", { name: twice });
  const [together] = code.match(TOGETHER) ?? [];
  if (together) refuse("use nothing that invocations do together", { name: together });
  const { parameters, result } = KINDS[kind];
  const given = parameters.map((type) => `\\s*\\w+\\s*:\\s*${type}\\s*`).join(",");
  for (const declared of grad === undefined ? [name] : [name, grad]) {
    if (!/^[A-Za-z_]\w*$/.test(declared)) {
      refuse("name its functions as WGSL does", { name: declared });
    }
    const head = `\\bfn\\s+${declared}\\s*\\(${given},?\\s*\\)\\s*->\\s*${result}\\b`;
    if (new RegExp(head).test(code)) continue;
    const wanted = parameters.map((type) => `${type === "f32" ? "score" : "at"}: ${type}`);
    refuse(`declare fn ${declared}(${wanted.join(", ")}) -> ${result}`, { wgsl });
  }
  for (const name of [...Object.keys(tensors), ...Object.keys(scalars)]) {
    const { declared, used } = usesOf(code, name);
    if (declared) refuse("not declare the name of a tensor or a scalar", { name });
    if (!used) refuse("read every tensor and scalar that it is given", { name });
  }
}

/** How a text uses a name: whether it declares it, for itself or within a function, and whether it is there at all. */
function usesOf(code: string, name: string): { declared: boolean; used: boolean } {
  const within = new RegExp(`\\b(?:let|var|const)\\s+${name}\\b`);
  const uses = [...code.matchAll(NAME)].filter(([, used]) => used === name);
  return {
    declared: namesOf(code).declared.has(name) || within.test(code) ||
      uses.some(([, , colon]) => colon !== undefined),
    used: uses.length > 0,
  };
}

/** Whether a function may depend on the query head. */
export function readsHead({ wgsl }: ModText): boolean {
  return /\.\s*head\b/.test(codeOf(wgsl));
}

/** The text as a fragment of a module, which calls its function by one name. */
export function modFragment(kind: ModKind, mod: ModText): string {
  const { called, own } = KINDS[kind];
  const code = codeOf(mod.wgsl);
  const names = new Map([...namesOf(code).declared].map((name) => [name, own + name]));
  names.set(mod.name, called);
  if (mod.grad !== undefined) names.set(mod.grad, MOD_GRAD);
  for (const name of Object.keys(mod.tensors)) names.set(name, tensorVariable(name));
  for (const name of Object.keys(mod.scalars)) names.set(name, `${SCALARS}.${name}`);
  return declarationsOf(code).map((declaration) => {
    const isStruct = /^\s*struct\s/.test(declaration);
    return declaration.replace(NAME, (text, name: string, colon = "") => {
      // The members of a struct are named behind a dot, where no name is changed.
      const isMember = isStruct && colon !== "";
      return names.has(name) && !isMember ? names.get(name) + colon : text;
    });
  }).join("");
}

/** The text without comments and indentation; what marks loops for the library is a comment here. */
function codeOf(wgsl: string): string {
  return condensed(wgsl.replaceAll("/*unroll*/", " "));
}
