import { checkNumbers, checkObject } from "../base/check.ts";
import { checkSpec, checkWeights } from "../model/check_spec.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { DecoderWeights } from "../model/weights.ts";

/** A decoder as its checkpoint has it. */
export interface Checkpoint {
  /** Its shape. */
  spec: DecoderSpec;
  /** Its weights, read when they are asked for. */
  weights: DecoderWeights;
  /** Tokens after which a text is over, by the model's own files; a tokenizer's files may name more. */
  endOfText: readonly number[];
  /** The end token of its configuration class, for where neither those files nor the tokenizer's name any. */
  classEndOfText?: readonly number[];
  /** The fields of its `config.json`, the decoder's alone where the model also sees; absent where the files have none. */
  config?: Readonly<Record<string, unknown>>;
  /** Lets go of the files. */
  close(): Promise<void>;
}

/** Throws unless a decoder and the tokens that end its texts are as a checkpoint has them. */
export function checkCheckpoint(action: string, checkpoint: Omit<Checkpoint, "close">): void {
  checkObject(action, "checkpoint", checkpoint);
  const { spec, weights, endOfText, classEndOfText } = checkpoint;
  checkSpec(action, spec, "checkpoint.spec");
  checkWeights(action, weights, "checkpoint.weights");
  checkNumbers(action, "checkpoint.endOfText", endOfText);
  if (classEndOfText === undefined) return;
  checkNumbers(action, "checkpoint.classEndOfText", classEndOfText);
}
