// A decode loop over the ring cache. Each step appends a token and attends to the last 64; nothing waits for the GPU.
import { Attention, Gpu, referenceAttention, RingKvCache, Tensor } from "@onehead/attention";

const [numHeads, headDim, window, steps] = [8, 64, 64, 100];
const gpu = await Gpu.open();
const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim, capacity: window, window });
const attention = await Attention.create(gpu, { ...cache.spec, numHeads });
const empty = (heads: number) => Tensor.empty(gpu, [1, 1, heads, headDim]);
const [q, k, v, o] = await Promise.all([numHeads, 1, 1, numHeads].map(empty));
const append = cache.bindAppend({ k, v });
const attend = attention.bind({ q, cache, o });

// In place of a model: random queries, keys and values, token by token.
const random = (tokens: number, heads: number) => ({
  data: Float32Array.from({ length: tokens * heads * headDim }, () => 2 * Math.random() - 1),
  shape: [1, tokens, heads, headDim],
});
const model = { q: random(1, numHeads), k: random(steps, 1), v: random(steps, 1) };
gpu.device.queue.writeBuffer(q.buffer, 0, model.q.data);

for (let step = 0; step < steps; step++) {
  gpu.device.queue.writeBuffer(k.buffer, 0, model.k.data, step * headDim, headDim);
  gpu.device.queue.writeBuffer(v.buffer, 0, model.v.data, step * headDim, headDim);
  const encoder = gpu.device.createCommandEncoder();
  append.encode(encoder);
  attend.encode(encoder);
  gpu.device.queue.submit([encoder.finish()]);
}
const output = await o.download();

const expected = referenceAttention(model, { window }).o;
/** The largest difference from the float64 reference. */
export const error = Math.max(...output.map((value, i) => Math.abs(value - expected[i])));
console.log(`${cache.length()} tokens went through ${cache.bytes} bytes; off by ${error} at most`);
gpu.destroy();
