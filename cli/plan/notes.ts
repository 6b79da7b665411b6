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
  if (model.windowed) {
    const { numLayers, window } = model.windowed;
    notes.push(
      `${numLayers} of ${model.numLayers} layers see the last ${window} tokens only and keep no more.`,
    );
  }
  notes.push(
    "Times are what the device's ceilings allow: no step is faster, and most are slower.",
    `All variants have the model's own ${
      (model.parameters / 1e9).toPrecision(3)
    }e9 parameters: models with fewer KV heads widen other layers.`,
  );
  return notes;
}
