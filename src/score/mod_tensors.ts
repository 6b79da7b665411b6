/** The tensors that functions of the caller's read: checked, and bound. */
import { checkObject, sentence } from "../base/check.ts";
import type { Gpu } from "../gpu/device.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import { tensorVariable } from "./mod_text.ts";
import { type Mods, modTensorsOf } from "./score_mod.ts";

/** Tensors by their names in the text of a function. */
export type ModTensors = Readonly<Record<string, Tensor>>;

/** The tensors of functions, if they are those that were planned. */
export function checkModTensors(
  action: string,
  gpu: Gpu,
  mods: Mods,
  given: ModTensors = {},
): Tensor[] {
  checkObject(action, "modTensors", given);
  const planned = modTensorsOf(mods);
  const others = Object.keys(given).filter((name) => given[name] && !(name in planned));
  if (others.length > 0) {
    const rule = "modTensors must be planned (give their shapes in scoreMod or maskMod)";
    throw new TypeError(
      sentence(action, rule, { modTensors: others, planned: Object.keys(planned) }),
    );
  }
  return Object.entries(planned).map(([name, { shape, dtype }]) => {
    checkTensor(action, `modTensors.${name}`, given[name], { gpu, shape, dtype });
    return given[name];
  });
}

/** Buffers of tensors by the names of the kernels' variables. */
export function modBuffers(mods: Mods, tensors: ModTensors = {}): Record<string, GPUBuffer> {
  return Object.fromEntries(
    Object.keys(modTensorsOf(mods)).map((name) => [tensorVariable(name), tensors[name].buffer]),
  );
}
