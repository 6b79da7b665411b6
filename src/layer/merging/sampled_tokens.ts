/** Most tokens of a calibration that are sampled: more of them tell about the same, and cost as much. */
const MOST = 4096;
/** One sample of eight is held out. */
const HELD_OUT = 8;

/** Tokens of a calibration, all sequences one after the other. */
export interface SampledTokens {
  /** Those that weights are refitted to. */
  fitted: readonly number[];
  /** Those that tell whether a refit is good or only follows the others closer; all of them, where there are too few. */
  heldOut: readonly number[];
}

/** Takes tokens at equal distances, at other positions in every sequence. */
export function sampledTokens(batch: number, seqLen: number): SampledTokens {
  const stride = Math.ceil(batch * seqLen / MOST);
  const fitted: number[] = [];
  const heldOut: number[] = [];
  for (let sequence = 0; sequence < batch; sequence++) {
    for (let position = sequence % stride; position < seqLen; position += stride) {
      const turn = Math.floor(position / stride) + sequence;
      const tokens = turn % HELD_OUT === HELD_OUT - 1 ? heldOut : fitted;
      tokens.push(sequence * seqLen + position);
    }
  }
  return heldOut.length > 0 ? { fitted, heldOut } : { fitted, heldOut: fitted };
}
