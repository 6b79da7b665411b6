/** Checks the kinds of what a decoder's shape holds. */
import { checkObject, sentence } from "../base/check.ts";
import type { DecoderSpec } from "./spec.ts";

/** Throws a `TypeError` unless the shape of a decoder, its norm and its layers are objects. */
export function checkSpec(action: string, spec: DecoderSpec, name = "spec"): void {
  checkObject(action, name, spec);
  checkObject(action, `${name}.norm`, spec.norm);
  const { layers } = spec;
  if (!Array.isArray(layers)) {
    throw new TypeError(sentence(action, `${name}.layers must be an array`, { layers }));
  }
  layers.forEach((layer, i) => checkObject(action, `${name}.layers[${i}]`, layer));
}
