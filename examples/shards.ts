// A context too long for one device: each of two holds a shard of keys and values, and their attentions are merged.
import { attend, Gpu, mergeStates, referenceAttention } from "@onehead/attention";

const random = (...shape: number[]) => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * Math.random() - 1),
  shape,
});
const [numHeads, headDim, shardLen] = [8, 64, 500];
const q = random(1, 1, numHeads, headDim);

// Two devices of this machine: they share nothing, so they may as well be two machines.
const gpus = await Promise.all([Gpu.open(), Gpu.open()]);
const shards = gpus.map(() => ({
  k: random(1, shardLen, 1, headDim),
  v: random(1, shardLen, 1, headDim),
}));

// The query goes to every shard; back come an output and a log-sum-exp: 4 + 4 * 64 bytes for each query head.
const states = await Promise.all(gpus.map(async (gpu, i) => {
  const { o, lse } = await attend(gpu, { q, ...shards[i] }, { causal: false, outputs: ["lse"] });
  return { o, lse };
}));
const { o } = await mergeStates(gpus[0], states);

const whole = (name: "k" | "v") => ({
  data: shards.flatMap((shard) => [...shard[name].data]),
  shape: [1, 2 * shardLen, 1, headDim],
});
const reference = referenceAttention({ q, k: whole("k"), v: whole("v") }, { causal: false });
/** The largest difference from the float64 reference over the whole context. */
export const error = Math.max(...o.data.map((x, i) => Math.abs(x - reference.o[i])));
console.log(`${numHeads} heads over ${2 * shardLen} keys on 2 devices; off by ${error} at most`);
for (const gpu of gpus) gpu.destroy();
