/** A decoder's passes over the tokens of one sequence, wherever its keys and values are. */
import type { KvCalibration } from "../cache/kv_calibration.ts";
import type { BoundWork } from "../gpu/bound_work.ts";
import type { Tensor } from "../tensor/tensor.ts";
import type { Model } from "./model.ts";

/** Runs steps, each of which chooses a token and feeds it. */
export type RunSteps = (action: string, steps: number) => Promise<void>;

/** Tokens in, logits out. */
export interface SequencePasses {
  readonly model: Model;
  /** Tokens that a pass reads: u32 [the most tokens of a pass]. */
  readonly tokens: Tensor;
  /** Logits after the last token: f32 [1, vocabSize]. */
  readonly logits: Tensor;
  /** Tokens before the next pass: u32 [1]. */
  readonly lengths: GPUBuffer;
  /** Tokens so far. */
  readonly length: number;
  /** Bytes of keys and values on the device. */
  readonly cacheBytes: number;
  /** Feeds chunks of tokens; `logits` has those after the last token. */
  feed(action: string, chunks: readonly (readonly number[])[]): Promise<void>;
  /** Feeds one chunk, as `feed` does, and returns the logits after each of its tokens, which the next pass may overwrite. */
  forward(action: string, chunk: readonly number[]): Promise<Tensor>;
  /** Binds steps by the work that chooses a token from `logits`. */
  bindSteps(choose: BoundWork): Promise<RunSteps>;
  /** Takes back the newest tokens, of which there are more. */
  truncate(action: string, length: number): Promise<void>;
  /** Measures each layer's cache. */
  calibrate(): Promise<KvCalibration[]>;
  /** Forgets all tokens. */
  clear(): void;
}

/** Copies the last row of `from` to `to`, a row of f32, unless they are the same. */
export function copyLastRow(encoder: GPUCommandEncoder, from: Tensor, to: Tensor): void {
  if (from === to) return;
  encoder.copyBufferToBuffer(from.buffer, from.bytes - to.bytes, to.buffer, 0, to.bytes);
}
