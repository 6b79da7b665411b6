/** The pieces of kernels that call functions of the caller's, and the scalars that these read. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import { modFragment, type ModKind, SCALARS, tensorVariable } from "./mod_text.ts";
import { type FilledMod, type Mods, modScalarsOf } from "./score_mod.ts";

/** Declares a function by the name that its step calls it by, with the tensors and the scalars that it reads. */
export function modPieces(kind: ModKind, mods: Mods): WgslPiece[] {
  const mod = mods[kind];
  if (!mod) return [];
  const tensors = Object.entries(mod.tensors).map(([name, { dtype }]) =>
    `var<storage, read> ${tensorVariable(name)}: array<${elementOf(dtype)}>;`
  );
  const members = Object.entries(modScalarsOf(mods)).map(([name, { type }]) => `${name}: ${type},`);
  const scalars = Object.keys(mod.scalars).length === 0
    ? []
    : [`struct ModScalars {\n${members.join("\n")}\n}\nvar<uniform> ${SCALARS}: ModScalars;`];
  return [{ fragments: [wgsl.scoreAt, ...tensors, ...scalars, modFragment(kind, mod)] }];
}

/** The scalars of all functions as they lie in memory; undefined where there are none. */
export function scalarBytes(mods: Mods): ArrayBuffer | undefined {
  const scalars = Object.values(modScalarsOf(mods));
  if (scalars.length === 0) return undefined;
  const view = new DataView(new ArrayBuffer(4 * scalars.length));
  const set = { f32: "setFloat32", i32: "setInt32", u32: "setUint32" } as const;
  scalars.forEach(({ type, value }, i) => view[set[type]](4 * i, value, true));
  return view.buffer;
}

/** The text in which a function is compiled by itself: its lines come first, so that they have their own numbers. */
export function modAlone({ wgsl: text, tensors, scalars }: FilledMod): string {
  const types = Object.entries(tensors).map(([name, { dtype }]) => [name, elementOf(dtype)]);
  return [
    `${types.some(([, type]) => type === "f16") ? "enable f16; " : ""}${text}`,
    wgsl.scoreAt.slice(0, wgsl.scoreAt.indexOf("}") + 1),
    ...types.map(([name, type], i) =>
      `@group(0) @binding(${i}) var<storage, read> ${name}: array<${type}>;`
    ),
    ...Object.entries(scalars).map(([name, { type }]) => `override ${name}: ${type} = 1;`),
  ].join("\n");
}

/** The element of the array that a tensor is. */
function elementOf(dtype: FilledMod["tensors"][string]["dtype"]): string {
  return dtype === "bool" ? "u32" : dtype;
}
