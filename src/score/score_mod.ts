/** Functions of the caller's that change scores or mask keys: what a specification says of them, checked. */
import {
  checkChoice,
  checkFinite,
  checkInteger,
  checkObject,
  copyShape,
  sentence,
} from "../base/check.ts";
import { isBuiltIn } from "../gpu/wgsl_names.ts";
import { checkModText, type ModKind, type ModText } from "./mod_text.ts";

/** A tensor that a function reads, as an array of its elements: `table[i]`. */
export interface ModTensor {
  /** Its shape; the last axis lies together. */
  shape: readonly number[];
  /**
   * Its element type: an `array<f32>`, `array<f16>` or `array<u32>`. Element i of `"bool"` is bit `i % 32` of the word
   * `i / 32` of an `array<u32>`. The default is `"f32"`.
   */
  dtype?: "f32" | "f16" | "u32" | "bool";
}

/** A number that a function reads by its name: of f32, or of the type that it says. Another value compiles nothing anew. */
export type ModScalar = number | { type: "f32" | "i32" | "u32"; value: number };

/**
 * A function in WGSL that says which keys a query sees: `fn NAME(at: ScoreAt) -> bool`. It is asked about keys that
 * `causal`, the windows, the bias and the mask let a query see, and about others, whose answers are not looked at.
 *
 * `ScoreAt` is the place of a score: `batch: u32`, `head: u32` (of the query), `query: i32` and `key: i32`, the positions in
 * the sequence, which stay what they are when a ring wraps. A position of a query may lie before the first token, where
 * `alignment` puts it there.
 *
 * The text may declare further functions, constants, structs and aliases; nothing that it declares meets the names of the
 * library's. FlexAttention (Dong et al. 2024, arXiv 2412.05496) has the same in PyTorch.
 */
export interface MaskMod {
  /** The function's name in the text. */
  name: string;
  /** The text. */
  wgsl: string;
  /**
   * Tensors that it reads, by their names in the text; they are given to `encode` or `bind` as `modTensors`. One name is one
   * tensor for `scoreMod` and `maskMod`. Each is a storage buffer, of which a kernel binds few: 8 where a device has no more,
   * 6 or 7 of which attention needs itself. The default is none.
   */
  tensors?: Readonly<Record<string, ModTensor>>;
  /** Numbers that it reads, by their names in the text. The default is none. */
  scalars?: Readonly<Record<string, ModScalar>>;
}

/**
 * A function in WGSL that changes scores: `fn NAME(score: f32, at: ScoreAt) -> f32`. It gets the score after scale,
 * softcap, ALiBi and bias, and masks a key by returning the lowest f32 or less. {@linkcode MaskMod} says the rest.
 */
export interface ScoreMod extends MaskMod {
  /**
   * The name of a function in the text with the same parameters: the derivative of the result by `score`. The default is
   * none: attention with this function has no gradient.
   */
  grad?: string;
}

/** A function with its defaults filled in. */
export interface FilledMod extends ModText {
  /** Its tensors, each with its type. */
  tensors: Readonly<Record<string, Required<ModTensor>>>;
  /** Its scalars, each with its type. */
  scalars: Readonly<Record<string, Exclude<ModScalar, number>>>;
}

/** The functions that a specification may have. */
export type Mods = Partial<Record<ModKind, FilledMod>>;

const TENSOR_TYPES = ["f32", "f16", "u32", "bool"] as const;
const RANGES = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1] } as const;

/** Copies functions with their defaults filled in, and checks them by themselves and with each other. */
export function fillInMods(
  action: string,
  { scoreMod, maskMod }: { scoreMod?: ScoreMod; maskMod?: MaskMod },
): Mods {
  const mods: Mods = {
    scoreMod: scoreMod === undefined ? undefined : fillInMod(action, "scoreMod", scoreMod),
    maskMod: maskMod === undefined ? undefined : fillInMod(action, "maskMod", maskMod),
  };
  for (const kind of ["tensors", "scalars"] as const) {
    const ofMasks = mods.maskMod?.[kind] ?? {};
    for (const [name, ofScores] of Object.entries(mods.scoreMod?.[kind] ?? {})) {
      const other = ofMasks[name];
      if (other === undefined || JSON.stringify(other) === JSON.stringify(ofScores)) continue;
      const rule = `one name among ${kind} must be the same in scoreMod and maskMod`;
      throw new RangeError(sentence(action, rule, { name, scoreMod: ofScores, maskMod: other }));
    }
  }
  const [tensors, scalars] = [modTensorsOf(mods), modScalarsOf(mods)];
  const both = Object.keys(tensors).filter((name) => name in scalars);
  if (both.length === 0) return mods;
  throw new TypeError(sentence(action, "a name must be a tensor's or a scalar's", { names: both }));
}

/** The tensors of all functions by name. */
export function modTensorsOf({ scoreMod, maskMod }: Mods): FilledMod["tensors"] {
  return { ...scoreMod?.tensors, ...maskMod?.tensors };
}

/** The scalars of all functions by name. */
export function modScalarsOf({ scoreMod, maskMod }: Mods): FilledMod["scalars"] {
  return { ...scoreMod?.scalars, ...maskMod?.scalars };
}

function fillInMod(action: string, option: ModKind, mod: ScoreMod): FilledMod {
  checkObject(action, option, mod);
  const { name, wgsl, grad, tensors = {}, scalars = {} } = mod;
  for (
    const [field, value] of Object.entries({ name, wgsl, ...(grad !== undefined && { grad }) })
  ) {
    if (typeof value === "string") continue;
    throw new TypeError(sentence(action, `${option}.${field} must be text`, { [field]: value }));
  }
  checkObject(action, `${option}.tensors`, tensors);
  checkObject(action, `${option}.scalars`, scalars);
  const filled: FilledMod = {
    ...{ name, wgsl },
    tensors: mapped(tensors, (of, tensor) => {
      const path = `${option}.tensors.${of}`;
      checkName(action, path, of);
      checkObject(action, path, tensor);
      const { dtype = "f32" } = tensor;
      checkChoice(action, `${path}.dtype`, dtype, TENSOR_TYPES);
      return { shape: copyShape(action, `${path}.shape`, tensor.shape), dtype };
    }),
    scalars: mapped(scalars, (of, scalar) => {
      const path = `${option}.scalars.${of}`;
      checkName(action, path, of);
      return copyScalar(action, path, scalar);
    }),
    ...(grad === undefined ? {} : { grad }),
  };
  checkModText(action, option, filled);
  return filled;
}

function mapped<From, To>(
  from: Readonly<Record<string, From>>,
  map: (name: string, value: From) => To,
): Record<string, To> {
  return Object.fromEntries(Object.entries(from).map(([name, value]) => [name, map(name, value)]));
}

/** Throws unless a tensor or a scalar may have the name. */
function checkName(action: string, path: string, name: string): void {
  if (/^[A-Za-z]\w*$/.test(name) && name !== "ScoreAt" && !isBuiltIn(name)) return;
  const rule = `${path} must have a name of letters and digits that WGSL has no meaning for`;
  throw new TypeError(sentence(action, rule, { name }));
}

function copyScalar(action: string, path: string, scalar: ModScalar): Exclude<ModScalar, number> {
  if (typeof scalar === "number") {
    checkFinite(action, path, scalar);
    return { type: "f32", value: scalar };
  }
  checkObject(action, path, scalar);
  const { type, value } = scalar;
  checkChoice(action, `${path}.type`, type, ["f32", "i32", "u32"]);
  if (type === "f32") {
    checkFinite(action, path, value);
  } else {
    const [least, most] = RANGES[type];
    checkInteger(action, path, value, least);
    if (value > most) {
      throw new RangeError(sentence(action, `${path} must be of ${type}`, { [path]: value }));
    }
  }
  return { type, value };
}
