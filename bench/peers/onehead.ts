/** Our own library as one of the systems: tokens go through the ring cache, and the last ones attend to it. */
import type { Asked, Inputs } from "../asked.ts";
import { Attention, type Gpu, type Implementation, RingKvCache, Tensor } from "../../mod.ts";
import { workOf } from "../stopwatch.ts";
import { Owned } from "../../src/gpu/owned.ts";
import type { Peer } from "./peer.ts";

/** Bytes of a tensor of new tokens: less than any adapter binds. */
const MOST_BYTES = 64 * 2 ** 20;

/** The library with one of its implementations. */
export function onehead(gpu: Gpu, impl: Implementation): Peer {
  return {
    name: impl,
    prepare: (asked, inputs) =>
      Owned.make(async (owned) => {
        const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = asked;
        const { window, softcap, sinkLogits, ring, valueDim = headDim, valuesAre } = asked;
        const capacity = ring ? window! : contextLen;
        const upload = async (data: Float32Array, shape: number[]) =>
          owned.keep(await Tensor.upload(gpu, { data, shape }, { dtype }));
        const cache = owned.keep(
          await RingKvCache.create(gpu, {
            ...{ batch, numKvHeads, headDim, valueDim, valuesAre, capacity, window, dtype },
            layout: "BNSH",
          }),
        );
        await appendAll(cache, asked, inputs);
        const biasShape = [numHeads, seqLen, contextLen];
        const attention = owned.keep(
          await Attention.create(gpu, {
            ...{ ...cache.spec, layout: "BSNH", numHeads, seqLen, softcap, sinkLogits, impl },
            ...(inputs.bias && { bias: biasShape }),
          }),
        );
        const qShape = [batch, seqLen, numHeads, headDim];
        const outputs = batch * seqLen * numHeads * valueDim;
        const o = await upload(new Float32Array(outputs).fill(NaN), qShape.with(-1, valueDim));
        const bound = attention.bind({
          ...{ q: await upload(inputs.q, qShape), cache, o },
          ...(inputs.bias && { bias: await upload(inputs.bias, biasShape) }),
        });
        return {
          run: workOf(gpu, (pass) => bound.encode(pass)),
          output: () => o.download(),
          destroy: () => owned.destroy(),
        };
      }),
  };
}

/** Appends the context: in as few pieces as memory allows, token by token where the ring wraps. */
async function appendAll(cache: RingKvCache, asked: Asked, inputs: Inputs): Promise<void> {
  const { batch, numKvHeads, headDim, valueDim = headDim, valuesAre } = asked;
  const { contextLen, dtype } = asked;
  const { gpu } = cache;
  const most = Math.floor(MOST_BYTES / (batch * numKvHeads * headDim * 4));
  const step = asked.ring ? 1 : Math.min(most, contextLen);
  for (let first = 0; first < contextLen; first += step) {
    const count = Math.min(step, contextLen - first);
    const piece = async (data: Float32Array, headDim: number) => {
      const heads = batch * numKvHeads;
      const part = new Float32Array(heads * count * headDim);
      for (let head = 0; head < heads; head++) {
        const from = (head * contextLen + first) * headDim;
        part.set(data.subarray(from, from + count * headDim), head * count * headDim);
      }
      const shape = [batch, numKvHeads, count, headDim];
      return await Tensor.upload(gpu, { data: part, shape }, { dtype });
    };
    const k = await piece(inputs.k, headDim);
    const v = valuesAre === "keys" ? undefined : await piece(inputs.v, valueDim);
    const encoder = gpu.device.createCommandEncoder();
    cache.append(encoder, { k, v });
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled();
    k.destroy();
    v?.destroy();
  }
}
