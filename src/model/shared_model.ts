/** Models that several users run sequences through. */
import { sentence } from "../base/check.ts";
import type { Destroyable } from "../gpu/owned.ts";
import type { Model } from "./model.ts";

/** A model, which is freed once the last of its users is destroyed. */
export class SharedModel {
  readonly model: Model;
  #users = 0;

  constructor(model: Model) {
    this.model = model;
  }

  /** Counts a user until what is returned is destroyed. */
  use(): Destroyable {
    this.#users++;
    let isUsed = true;
    return {
      destroy: () => {
        if (isUsed && --this.#users === 0) this.model.destroy();
        isUsed = false;
      },
    };
  }
}

/** The model of each decoder; undefined once it is destroyed. */
const sharedModels = new WeakMap<object, SharedModel | undefined>();

/** Remembers the model of a decoder, for those who run other sequences through its weights; undefined forgets it. */
export function shareModel(decoder: object, shared: SharedModel | undefined): void {
  sharedModels.set(decoder, shared);
}

/** The model of a decoder; throws where it is none, or was destroyed. */
export function sharedModelOf(action: string, decoder: object): SharedModel {
  if (!sharedModels.has(decoder)) {
    throw new TypeError(sentence(action, "decoder must be a Decoder", { decoder }));
  }
  const shared = sharedModels.get(decoder);
  if (shared) return shared;
  throw new RangeError(sentence(action, "the decoder must not have been destroyed", { decoder }));
}
