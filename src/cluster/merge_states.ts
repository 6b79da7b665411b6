/** Merges states that came over the wire, where they are: on the host, without a readback. */

/** Attention over a shard, of rows of queries. */
export interface ShardState {
  /** Outputs [rows, valueDim]. */
  o: Float32Array;
  /** Natural logarithm of the sum of the scores' exponentials [rows]. */
  lse: Float32Array;
}

/**
 * The output of attention over all shards: `sum_i exp(lse_i - max) o_i / sum_i exp(lse_i - max)`, summed in float64; 0 where no
 * shard has a key that a row sees. `MergeStates` does the same on a device.
 */
export function mergeOutputs(states: readonly ShardState[], valueDim: number): Float32Array {
  const rows = states[0].lse.length;
  const merged = new Float32Array(rows * valueDim);
  for (let row = 0; row < rows; row++) {
    const max = Math.max(...states.map(({ lse }) => lse[row]));
    if (max === -Infinity) continue;
    const weights = states.map(({ lse }) => Math.exp(lse[row] - max));
    const sum = weights.reduce((sum, weight) => sum + weight);
    for (let d = row * valueDim; d < (row + 1) * valueDim; d++) {
      merged[d] = states.reduce((total, { o }, i) => total + weights[i] * o[d], 0) / sum;
    }
  }
  return merged;
}
