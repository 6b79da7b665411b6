/** Our own library as one of the systems: tokens go through a cache, and the last ones attend to it. */
import { type Asked, type Inputs, OWN_SCORE } from "../asked.ts";
import { prepareOnehead } from "../gradient/onehead.ts";
import {
  Attention,
  type Gpu,
  type Implementation,
  PagedKvCache,
  PagePool,
  RingKvCache,
  Tensor,
} from "../../mod.ts";
import { workOf } from "../stopwatch.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { PAGE_SIZE } from "./pages.ts";
import type { NewTokens } from "../../src/cache/new_tokens.ts";
import type { PagedLayer } from "../../src/cache/paged_layer.ts";
import type { Peer } from "./peer.ts";

/** Bytes of a tensor of new tokens: less than any adapter binds. */
const MOST_BYTES = 64 * 2 ** 20;

/** The library with one of its implementations. */
export function onehead(gpu: Gpu, impl: Implementation): Peer {
  return {
    name: impl,
    prepareGradient: (gradientCase, inputs) => prepareOnehead(gpu, gradientCase, inputs),
    prepare: (asked, inputs) =>
      Owned.make(async (owned) => {
        const { batch, numHeads, headDim, seqLen, contextLen, dtype } = asked;
        const { softcap, sinkLogits, valueDim = headDim, hasOwnScore } = asked;
        const upload = async (data: Float32Array, shape: number[]) =>
          owned.keep(await Tensor.upload(gpu, { data, shape }, { dtype }));
        const { cache, append } = await (asked.isPaged ? pagesOf : ringOf)(gpu, owned, asked);
        await appendAll(gpu, append, asked, inputs);
        const biasShape = [numHeads, seqLen, contextLen];
        const attention = owned.keep(
          await Attention.create(gpu, {
            ...{ ...cache.spec, layout: "BSNH", numHeads, seqLen, softcap, sinkLogits, impl },
            ...(inputs.bias && { bias: biasShape }),
            ...(hasOwnScore && { scoreMod: OWN_SCORE.wgsl }),
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

/** What attention reads, and how new tokens come into it: the first of each sequence's. */
interface Cache {
  cache: RingKvCache | PagedLayer;
  append(encoder: GPUCommandEncoder, tokens: Omit<NewTokens, "lengths">, counts: number[]): void;
}

async function ringOf(gpu: Gpu, owned: Owned, asked: Asked): Promise<Cache> {
  const { batch, window, ring, contextLen, valuesAre } = asked;
  const capacity = ring ? window! : contextLen;
  const options = { ...storageOf(asked), batch, window, capacity, valuesAre };
  const cache = owned.keep(await RingKvCache.create(gpu, options));
  return {
    cache,
    append: (encoder, tokens, lengths) => cache.append(encoder, { ...tokens, lengths }),
  };
}

/** Sequences grow in turns, so that their pages lie in between each other. */
async function pagesOf(gpu: Gpu, owned: Owned, asked: Asked): Promise<Cache> {
  const { batch, contextLen } = asked;
  const numPages = batch * Math.ceil(contextLen / PAGE_SIZE);
  const options = { ...storageOf(asked), numPages, pageSize: PAGE_SIZE };
  const pool = owned.keep(await PagePool.create(gpu, options));
  const cache = owned.keep(await PagedKvCache.create(pool, { batch, capacity: contextLen }));
  const [layer] = cache.layers;
  return {
    cache: layer,
    append(encoder, { k, v }, counts) {
      cache.extend(encoder, counts);
      layer.append(encoder, { k, v: v! }); // there are no pages of keys alone
    },
  };
}

function storageOf({ numKvHeads, headDim, valueDim, dtype, kvBits }: Asked) {
  const kvDtype = kvBits && (`int${kvBits}` as const);
  return { numKvHeads, headDim, valueDim, dtype, kvDtype, layout: "BNSH" as const };
}

/** Appends the context: in as few pieces as memory allows, page by page, or token by token where the ring wraps. */
async function appendAll(
  gpu: Gpu,
  append: Cache["append"],
  asked: Asked,
  inputs: Inputs,
): Promise<void> {
  const { batch, numKvHeads, headDim, valueDim = headDim, valuesAre, ring, isPaged } = asked;
  const { contextLen, contextLens = Array<number>(batch).fill(contextLen), dtype } = asked;
  const most = Math.floor(MOST_BYTES / (batch * numKvHeads * headDim * 4));
  const step = ring ? 1 : Math.min(isPaged ? PAGE_SIZE : most, contextLen);
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
    const counts = contextLens.map((length) => Math.min(Math.max(length - first, 0), count));
    const encoder = gpu.device.createCommandEncoder();
    append(encoder, { k, v }, counts);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled();
    k.destroy();
    v?.destroy();
  }
}
