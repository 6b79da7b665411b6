/** Computes an attention on the GPU and in float64. */
import {
  attend,
  Attention,
  type AttentionState,
  type ElementType,
  type Gpu,
  type HostMask,
  type HostTensor,
  mergeStates,
  referenceAttention,
  RingKvCache,
  Tensor,
} from "@onehead/attention";
import type { Random } from "../support/random.ts";
import { ropedTensor } from "../support/rope.ts";
import type { RuntimeCase } from "./cases.ts";
import { difference } from "./difference.ts";

interface Inputs {
  q: HostTensor;
  k: HostTensor;
  v: HostTensor;
  mask?: HostMask;
}

/** The log-sum-exp of a row that sees nothing. */
const MASKED = -3.4028234663852886e38;

type State = AttentionState<HostTensor>;

/** The largest difference from the reference, of outputs and log-sum-exps; NaN where something is not a number. */
export async function attentionError(
  gpu: Gpu,
  asked: RuntimeCase,
  random: Random,
): Promise<number> {
  const inputs = await randomInputs(gpu, asked, random);
  const { o, lse } = asked.ring
    ? await throughRing(gpu, asked, inputs)
    : asked.parts
    ? await inParts(gpu, asked, inputs)
    : await atOnce(gpu, asked, inputs);
  const { rope } = asked.ring ?? {};
  const first = asked.contextLen - asked.seqLen;
  const expected = referenceAttention(
    {
      ...inputs,
      ...(rope && {
        q: ropedTensor(inputs.q, ([, token]) => first + token, rope),
        k: ropedTensor(inputs.k, ([, token]) => token, rope),
      }),
    },
    optionsOf(asked),
  );
  const lowest = expected.lse.map((lse) => Math.max(lse, MASKED));
  return Math.max(difference(o.data, expected.o), difference(lse.data, lowest));
}

/** What queries see; of a ring, what it keeps. */
function optionsOf({ score, sinks, ring }: RuntimeCase) {
  const { window = score?.window, sinks: kept = sinks } = ring?.options ?? {};
  return { ...score, window, sinks: kept };
}

async function randomInputs(gpu: Gpu, asked: RuntimeCase, random: Random): Promise<Inputs> {
  const { batch = 1, numHeads, numKvHeads, headDim, valueDim = headDim } = asked;
  const { seqLen, contextLen, dtype = "f32", kvDtype = dtype } = asked;
  const tensor = (tokens: number, heads: number, size: number, type: ElementType) =>
    asStored(gpu, random.tensor([batch, tokens, heads, size]), type);
  const shape = [batch, 1, seqLen, contextLen];
  const { data } = random.tensor(shape);
  return {
    q: await tensor(seqLen, numHeads, headDim, dtype),
    k: await tensor(contextLen, numKvHeads, headDim, kvDtype),
    v: await tensor(contextLen, numKvHeads, valueDim, kvDtype),
    ...(asked.masked && { mask: { data: Array.from(data, (value) => value > 0), shape } }),
  };
}

/** The numbers that storage of this type holds. */
async function asStored(gpu: Gpu, source: HostTensor, dtype: ElementType): Promise<HostTensor> {
  if (dtype === "f32") return source;
  const tensor = await Tensor.upload(gpu, source, { dtype });
  const data = await tensor.download();
  tensor.destroy();
  return { data, shape: source.shape };
}

async function atOnce(gpu: Gpu, asked: RuntimeCase, inputs: Inputs): Promise<State> {
  const { dtype, kvDtype, impl, arithmetic, tuning } = asked;
  const given = { dtype, kvDtype, impl, arithmetic, tuning };
  const { o, lse } = await attend(gpu, inputs, {
    ...{ ...optionsOf(asked), ...given, outputs: ["lse"] },
  });
  return { o, lse };
}

async function inParts(gpu: Gpu, asked: RuntimeCase, { q, k, v }: Inputs): Promise<State> {
  const parts: State[] = [];
  let first = 0;
  for (const contextLen of asked.parts!) {
    const [kPart, vPart] = [k, v].map((tensor) => tokensOf(tensor, first, contextLen));
    parts.push(await atOnce(gpu, { ...asked, contextLen }, { q, k: kPart, v: vPart }));
    first += contextLen;
  }
  return await mergeStates(gpu, parts);
}

async function throughRing(gpu: Gpu, asked: RuntimeCase, { q, k, v }: Inputs): Promise<State> {
  const { numHeads, numKvHeads, headDim, seqLen, dtype, kvDtype, score, impl, arithmetic } = asked;
  const { appends, options, rope, forked } = asked.ring!;
  const batch = forked ? 2 : 1;
  const cache = await RingKvCache.create(gpu, {
    ...options,
    ...{ batch, numKvHeads, headDim, dtype, kvDtype, rope },
  });
  const attention = await Attention.create(gpu, {
    ...cache.spec,
    ...score,
    ...{ numHeads, seqLen, impl, arithmetic, outputs: ["lse"] },
  });
  const upload = (source: HostTensor) => Tensor.upload(gpu, ofEach(source, batch), { dtype });
  const encoder = gpu.device.createCommandEncoder();
  let first = 0;
  for (const count of appends) {
    const [kNew, vNew] = await Promise.all(
      [k, v].map((tensor) => upload(tokensOf(tensor, first, count))),
    );
    cache.append(encoder, { k: kNew, v: vNew, lengths: forked ? [count, 0] : undefined });
    first += count;
  }
  if (forked) cache.fork(encoder, { from: 0, to: 1 });
  const queries = await upload(q);
  if (rope) cache.ropeQueries(encoder, queries);
  const o = await Tensor.empty(gpu, [batch, seqLen, numHeads, headDim], { dtype });
  const lse = await Tensor.empty(gpu, [batch, seqLen, numHeads]);
  attention.encode(encoder, { q: queries, cache, o, lse });
  gpu.device.queue.submit([encoder.finish()]);
  // Of a fork, the copy.
  return { o: await lastOf(o, batch), lse: await lastOf(lse, batch) };
}

/** [1, S, N, H] -> [batch, S, N, H] */
function ofEach({ data, shape }: HostTensor, batch: number): HostTensor {
  const copies = Array.from({ length: batch }, () => Array.from(data));
  return { data: copies.flat(), shape: [batch, ...shape.slice(1)] };
}

async function lastOf(tensor: Tensor, batch: number): Promise<HostTensor> {
  const data = await tensor.download();
  return {
    data: data.subarray(data.length / batch * (batch - 1)),
    shape: [1, ...tensor.shape.slice(1)],
  };
}

/** Some tokens of a [1, S, N, H] tensor. */
function tokensOf({ data, shape }: HostTensor, first: number, count: number): HostTensor {
  const [batch, , heads, size] = shape;
  const row = heads * size;
  return {
    data: Array.prototype.slice.call(data, first * row, (first + count) * row),
    shape: [batch, count, heads, size],
  };
}
