/** From a captured layer to its rows: through the ring cache, token by token and in one prefill. */
import {
  Attention,
  type Dtype,
  type Gpu,
  type HostTensor,
  type Implementation,
  outputChange,
  referenceAttention,
  RingKvCache,
  Tensor,
} from "../mod.ts";
import { type CapturedLayer, withKvHeads } from "./capture.ts";
import { variantOf } from "../cli/shared/variant.ts";
import type { Case } from "./cases.ts";
import type { Phase, Result, Roofline } from "./result.ts";
import { emptyResult, fillInAll, judge } from "./rows.ts";
import { type Call, type Effort, timeInTurns } from "./stopwatch.ts";

/** Largest difference from the captured output: captures come from f32 programs. */
const TOLERANCE: Readonly<Record<Dtype, number>> = { f32: 1e-5, f16: 5e-3 };

/** A variant of a layer that has run once: its output, and a call to time. */
interface Run {
  result: Result;
  output: Float32Array;
  call: Call;
  destroy(): void;
}

/** Runs a layer as MHA (K/V repeated), as trained, and as MQA (K/V averaged), and compares. */
export async function runLayer(
  gpu: Gpu,
  layer: CapturedLayer,
  { phase, dtype, impl, effort, roofline }: {
    phase: Phase;
    dtype: Dtype;
    impl: Implementation;
    effort: Effort;
    roofline: Roofline;
  },
): Promise<Result[]> {
  const { q, k, v } = layer;
  const [, , numHeads] = q.shape;
  const [, , ownKvHeads] = k.shape;
  const own = layer.o?.data ?? referenceAttention({ q, k, v }).o;
  const runs: Run[] = [];
  try {
    for (const numKvHeads of new Set([numHeads, ownKvHeads, 1])) {
      const variant = { q, k: withKvHeads(k, numKvHeads), v: withKvHeads(v, numKvHeads) };
      const run = await prepare(gpu, layer.name, variant, { phase, dtype, impl });
      runs.push(run);
      const isOwn = numKvHeads % ownKvHeads === 0;
      check(run, isOwn ? own : referenceAttention(variant).o);
      if (!isOwn) Object.assign(run.result, outputChange(own, run.output));
    }
    const times = await timeInTurns(gpu, runs.map(({ call }) => call), effort);
    fillInAll(runs.map(({ result }) => result), times, roofline);
    return runs.map(({ result }) => result);
  } finally {
    for (const run of runs) run.destroy();
  }
}

async function prepare(
  gpu: Gpu,
  name: string,
  inputs: Record<"q" | "k" | "v", HostTensor>,
  { phase, dtype, impl }: { phase: Phase; dtype: Dtype; impl: Implementation },
): Promise<Run> {
  const [, tokens, numHeads, headDim] = inputs.q.shape;
  const [, , numKvHeads] = inputs.k.shape;
  const seqLen = phase === "decode" ? 1 : tokens;
  const owned: { destroy(): void }[] = [];
  const own = <Kind extends { destroy(): void }>(value: Kind): Kind => {
    owned.push(value);
    return value;
  };
  const shape = { numKvHeads, headDim, dtype };
  // Wrapping, so that a decode step can be timed over and over with the ring full.
  const cache = own(
    await RingKvCache.create(gpu, { ...shape, capacity: tokens, overflow: "wrap" }),
  );
  const attention = own(await Attention.create(gpu, { ...cache.spec, numHeads, seqLen, impl }));
  const q = own(await Tensor.upload(gpu, inputs.q, { dtype, label: "q" }));
  const k = own(await Tensor.upload(gpu, inputs.k, { dtype, label: "k" }));
  const v = own(await Tensor.upload(gpu, inputs.v, { dtype, label: "v" }));
  const o = own(await Tensor.empty(gpu, [1, tokens, numHeads, headDim], { dtype, label: "o" }));
  const case_: Case = {
    ...{ name, phase, dtype, impl, numHeads, numKvHeads, headDim, seqLen },
    variant: variantOf(numHeads, numKvHeads),
    batch: 1,
    contextLen: tokens,
  };

  let call: Call;
  const encoder = gpu.device.createCommandEncoder();
  if (phase === "prefill") {
    cache.append(encoder, { k, v });
    attention.encode(encoder, { q, cache, o });
    call = (pass) => attention.encode(pass, { q, cache, o });
  } else {
    const step = {
      q: own(await Tensor.empty(gpu, [1, 1, numHeads, headDim], { dtype })),
      k: own(await Tensor.empty(gpu, [1, 1, numKvHeads, headDim], { dtype })),
      v: own(await Tensor.empty(gpu, [1, 1, numKvHeads, headDim], { dtype })),
      o: own(await Tensor.empty(gpu, [1, 1, numHeads, headDim], { dtype })),
    };
    for (let token = 0; token < tokens; token++) {
      copyToken(encoder, token, q, step.q);
      copyToken(encoder, token, k, step.k);
      copyToken(encoder, token, v, step.v);
      cache.append(encoder, step);
      attention.encode(encoder, { q: step.q, cache, o: step.o });
      encoder.copyBufferToBuffer(step.o.buffer, 0, o.buffer, token * step.o.bytes, step.o.bytes);
    }
    call = (pass) => {
      cache.append(pass, step);
      attention.encode(pass, { q: step.q, cache, o: step.o });
    };
  }
  await gpu.guard(`run ${name}`, () => gpu.device.queue.submit([encoder.finish()]));
  return {
    result: emptyResult(case_),
    call,
    output: await o.download(),
    destroy: () => owned.forEach((value) => value.destroy()),
  };
}

function check({ result, output }: Run, expected: ArrayLike<number>): void {
  const error = output.reduce((most, value, i) => {
    const difference = Math.abs(value - expected[i]);
    return difference > most || Number.isNaN(difference) ? difference : most;
  }, 0);
  judge(result, error, TOLERANCE[result.dtype]);
}

function copyToken(encoder: GPUCommandEncoder, token: number, from: Tensor, to: Tensor): void {
  encoder.copyBufferToBuffer(from.buffer, token * to.bytes, to.buffer, 0, to.bytes);
}
