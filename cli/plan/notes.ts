import { type Model, touchedParameters } from "../shared/preset.ts";
import type { PlanRequest } from "./plan.ts";

/** Notes beside the figures of a plan, for its reader. */
export function notesOn({ model, device, kvHeads, contextLens }: PlanRequest): string[] {
  const notes = [];
  const odd = kvHeads.filter((numKvHeads) => model.numHeads % numKvHeads !== 0);
  if (odd.length > 0) {
    notes.push(`${odd.join(" and ")} KV heads are left out: they do not divide ${model.numHeads}.`);
  }
  if (device.memoryBytes === undefined) {
    notes.push(
      "This device's memory is not known, so that nothing is said to fit (give it as --memory SIZE).",
    );
  }
  const longest = Math.max(...contextLens);
  if (model.maxContext !== undefined && longest > model.maxContext) {
    notes.push(`${model.name} is published for contexts of up to ${model.maxContext} tokens.`);
  }
  notes.push(
    ...notesOnLayers(model),
    "Times are what the device's ceilings allow: no step is faster, and most are slower.",
    `All variants have the model's own ${
      giga(model.parameters)
    } parameters: models with fewer KV heads widen other layers.`,
  );
  return notes;
}

/** Notes on a model's layers where they are not all alike, dense and of full attention. */
function notesOnLayers(model: Model): string[] {
  const { windowed, recurrentLayers = 0, experts, latent, headDim, valueDim = headDim } = model;
  const notes = [];
  if (model.isMultimodal) {
    notes.push(
      "Only the decoder is counted: what sees or hears beside it takes memory of its own.",
    );
  }
  const numLayers = model.numLayers + recurrentLayers;
  if (windowed) {
    notes.push(
      `${windowed.numLayers} of ${numLayers} layers see the last ${windowed.window} tokens only and keep no more.`,
    );
  }
  if (recurrentLayers > 0) {
    notes.push(
      `${recurrentLayers} of ${numLayers} layers are recurrent: they keep numbers of a fixed size instead of keys and values, which are not counted.`,
    );
  }
  if (experts) {
    notes.push(
      `A token passes ${experts.perToken} of ${experts.count} experts, and with them ${
        giga(touchedParameters(model, 1))
      } of ${
        giga(model.parameters)
      } parameters; a step reads those that its batch passes on average.`,
    );
  }
  if (latent) {
    notes.push(
      `MLA keeps ${latent.rank} + ${latent.ropeDim} numbers of a token, which all heads share; ` +
        `the other variants keep keys of ${headDim} and values of ${valueDim}.`,
    );
  }
  return notes;
}

function giga(count: number): string {
  return `${(count / 1e9).toPrecision(3)}e9`;
}
