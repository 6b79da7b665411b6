import { type Asked, type Inputs, inputsOf, OWN_SCORE, stepOf } from "../../bench/asked.ts";
import { planCases } from "../../bench/cases.ts";
import { attempt, failureOf } from "../../bench/peers/attempt.ts";
import { compareGroup, stepsOf } from "../../bench/peers/compare.ts";
import { importPackage } from "../../bench/peers/import_package.ts";
import { addendOf, swapMiddle } from "../../bench/peers/layout.ts";
import { loadPeer, PEERS } from "../../bench/peers/mod.ts";
import { onehead } from "../../bench/peers/onehead.ts";
import { NO_GRADIENT, standardAttention } from "../../bench/peers/onnx_attention.ts";
import { groupQueryAttention } from "../../bench/peers/onnx_group_query.ts";
import { pagedAttention } from "../../bench/peers/onnx_paged.ts";
import { inPages, PAGE_SIZE, pageTableOf } from "../../bench/peers/pages.ts";
import { encodeModel, graphOf, type Node, type Value } from "../../bench/peers/onnx_model.ts";
import { AbsentError, type Peer } from "../../bench/peers/peer.ts";
import { timeWorkInTurns } from "../../bench/stopwatch.ts";
import { SILENT } from "../../cli/shared/progress.ts";
import { referenceAttention, type ScoreAt } from "../../mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { PbfReader } from "pbf";

const ASKED: Asked = {
  ...{ dtype: "f32", batch: 1, numHeads: 4, numKvHeads: 2, headDim: 8 },
  ...{ seqLen: 5, contextLen: 21 },
};
const EFFORT = { minRounds: 2, maxRounds: 2, budgetMs: 0 };

/** A system that computes on the host, and adds an error to what it returns. */
function fakePeer(name: string, error = 0, destroyed: string[] = []): Peer {
  return {
    name,
    prepareGradient: NO_GRADIENT,
    prepare(asked, inputs) {
      const o = Float32Array.from(hostAttention(asked, inputs), (value) => value + error);
      return Promise.resolve({
        run: () => Promise.resolve(),
        output: () => Promise.resolve(o),
        destroy: () => void destroyed.push(name),
      });
    },
  };
}

function failingPeer(name: string, error: unknown): Peer {
  return { name, prepare: () => Promise.reject(error), prepareGradient: NO_GRADIENT };
}

function hostAttention(asked: Asked, { q, k, v, bias }: Inputs): Float64Array {
  const { contextLens, hasOwnScore } = asked;
  const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen } = asked;
  const kvShape = [batch, numKvHeads, contextLen, headDim] as const;
  const tokensFirst = (data: Float32Array) => ({
    data: swapMiddle(data, kvShape),
    shape: [batch, contextLen, numKvHeads, headDim],
  });
  return referenceAttention({
    q: { data: q, shape: [batch, seqLen, numHeads, headDim] },
    ...{ k: tokensFirst(k), v: tokensFirst(v) },
    ...(bias && { bias: { data: bias, shape: [numHeads, seqLen, contextLen] } }),
    ...(contextLens && { lengths: { data: contextLens, shape: [batch] } }),
    ...(hasOwnScore && {
      scoreMod: (score: number, { query, key }: ScoreAt) => score * OWN_SCORE.factor(query, key),
    }),
  }, { window: asked.window, softcap: asked.softcap, sinkLogits: asked.sinkLogits }).o;
}

Deno.test("attempt() tells right from wrong, and says who refuses, lacks an option or cannot be loaded", async () => {
  const inputs = inputsOf(ASKED);
  const verdicts = async (peer: Peer) => (await attempt(peer, ASKED, inputs)).verdict;
  assertEquals(await verdicts(fakePeer("right")), "right");
  assertEquals(await verdicts(fakePeer("nearly", 1e-6)), "right");
  assertEquals(await verdicts(fakePeer("wrong", 1e-3)), "wrong");
  assertEquals(await verdicts(fakePeer("not a number", NaN)), "wrong");
  assertEquals(await verdicts(failingPeer("absent", new AbsentError("softcap"))), "absent");
  assertEquals(await verdicts(failingPeer("refused", new RangeError("too large"))), "refused");

  const peer = await loadPeer({ name: "lost", load: () => Promise.reject(new Error("no wasm")) });
  assertEquals(await attempt(peer, ASKED, inputs), {
    verdict: "not loaded",
    message: "cannot load: no wasm",
  });
});

Deno.test("attempt() holds every option against the reference", async () => {
  const options: Partial<Asked>[] = [
    { window: 3 },
    { softcap: 0.5 },
    { sinkLogits: [1, -1, 0, 2] },
    { hasBias: true },
    { dtype: "f16" },
    { hasOwnScore: true },
    { batch: 2, contextLens: [9, 21] },
    { numKvHeads: 1, batch: 2 },
    { kvBits: 8 },
    { kvBits: 4 },
  ];
  for (const option of options) {
    const asked = { ...ASKED, ...option };
    const inputs = inputsOf(asked);
    assertEquals((await attempt(fakePeer("right"), asked, inputs)).verdict, "right");
    if (option.dtype || (option.batch && !option.contextLens)) continue;
    // A system that does not heed the option.
    const heedless = fakePeer("heedless");
    const deaf = {
      ...heedless,
      prepare: () =>
        option.kvBits
          ? heedless.prepare(ASKED, inputsOf(ASKED))
          : heedless.prepare({ ...ASKED, batch: asked.batch }, { ...inputs, bias: undefined }),
    };
    assertEquals((await attempt(deaf, asked, inputs)).verdict, "wrong", JSON.stringify(option));
  }
});

Deno.test("attempt() frees what is of no use, and leaves the rest to the caller", async () => {
  const destroyed: string[] = [];
  const inputs = inputsOf(ASKED);
  await attempt(fakePeer("wrong", 1, destroyed), ASKED, inputs);
  const broken: Peer = {
    name: "broken",
    prepareGradient: NO_GRADIENT,
    async prepare(...given) {
      const prepared = await fakePeer("broken", 0, destroyed).prepare(...given);
      return { ...prepared, run: () => Promise.reject("a\n  string") };
    },
  };
  assertEquals(await attempt(broken, ASKED, inputs), { verdict: "refused", message: "a string" });
  const right = await attempt(fakePeer("right", 0, destroyed), ASKED, inputs);
  assertEquals(destroyed, ["wrong", "broken"]);
  assert(right.verdict === "right");
  await right.prepared.destroy();
  assertEquals(destroyed, ["wrong", "broken", "right"]);
});

Deno.test("an output that is too short is wrong", async () => {
  const peer = fakePeer("short");
  const short: Peer = {
    name: "short",
    prepareGradient: NO_GRADIENT,
    async prepare(...given) {
      return { ...await peer.prepare(...given), output: () => Promise.resolve([]) };
    },
  };
  const result = await attempt(short, ASKED, inputsOf(ASKED));
  assertEquals(failureOf(result), "wrong: error NaN");
});

Deno.test("compareGroup() times what is right, and says why the rest has no times", async () => {
  const shape = { name: "small", numHeads: 4, headDim: 8, kvHeads: [4, 1], maxContext: 30 };
  const [group] = planCases([shape], {
    ...{ phases: ["prefill"], dtypes: ["f32"], impls: ["fused", "staged"], batches: [2] },
    ...{ decodeContexts: [], prefillContexts: [30], prefillSeqLens: [7] },
  });
  const peers = [
    fakePeer("right 1.0"),
    fakePeer("wrong 1.0", 0.035),
    failingPeer("strict 1.0", new Error("too small")),
    await loadPeer({ name: "lost 1.0", load: () => Promise.reject(new Error("no wasm")) }),
  ];
  const steps: string[] = [];
  const progress = { step: (what: string) => void steps.push(what) };
  const measuring = { effort: EFFORT, progress };
  const rows = await compareGroup(await sharedGpu(), group, peers, measuring);
  assertEquals(steps.length, stepsOf(group, peers.length));
  const names = ["fused", "staged", "right 1.0", "wrong 1.0", "strict 1.0", "lost 1.0"];
  assertEquals(rows.map(({ impl }) => impl), [...names, ...names]);
  assertEquals(rows.map(({ variant }) => variant).slice(5, 7), ["mha", "mqa"]);
  for (const row of rows) {
    const { impl, failure, samples, medianMs, timesOurs, maxAbsError } = row;
    if (["fused", "staged", "right 1.0"].includes(impl)) {
      assertEquals([failure, samples], [undefined, EFFORT.minRounds]);
      assert(medianMs > 0 && timesOurs! > 0 && maxAbsError! < 1e-6);
    } else {
      assertEquals([samples, medianMs, timesOurs], [0, 0, null]);
    }
    if (impl === "fused") assertEquals(timesOurs, 1);
  }
  const failures = rows.slice(3, 6).map(({ failure }) => failure);
  assertEquals(failures, ["wrong: error 3.5e-2", "too small", "cannot load: no wasm"]);
  assertEquals(rows.slice(3, 6).map(({ maxAbsError }) => maxAbsError !== null), [
    true,
    false,
    false,
  ]);
});

Deno.test("compareGroup() goes on without a peer that fails while it is timed", async () => {
  const shape = { name: "small", numHeads: 2, headDim: 8, kvHeads: [1], maxContext: 9 };
  const [group] = planCases([shape], {
    ...{ phases: ["decode"], dtypes: ["f32"], impls: ["fused"], batches: [1] },
    ...{ decodeContexts: [9], prefillContexts: [] },
  });
  const tiring: Peer = {
    name: "tiring 1.0",
    prepareGradient: NO_GRADIENT,
    async prepare(...given) {
      const prepared = await fakePeer("tiring 1.0").prepare(...given);
      let runs = 0;
      const run = () => runs++ < 3 ? Promise.resolve() : Promise.reject(new Error("tired"));
      return { ...prepared, run };
    },
  };
  const measuring = { effort: EFFORT, progress: SILENT };
  const [ours, row] = await compareGroup(await sharedGpu(), group, [tiring], measuring);
  assertEquals([ours.failure, ours.samples], [undefined, 2]);
  assertEquals([row.failure, row.samples, row.timesOurs], ["tired", 0, null]);
});

Deno.test("onehead() is right with every option, through a ring that wraps too", async () => {
  const gpu = await sharedGpu();
  const options: Partial<Asked>[] = [
    { window: 4, softcap: 0.5, sinkLogits: [1, -1, 0, 2], hasBias: true },
    { seqLen: 1, window: 4, ring: true },
    { batch: 2, numKvHeads: 1 },
    { kvBits: 8 },
    { kvBits: 4, headDim: 16 },
    { batch: 2, contextLen: 2 * PAGE_SIZE, isPaged: true },
    { batch: 3, seqLen: 1, contextLens: [3, 21, 10] },
    { hasOwnScore: true },
  ];
  for (const option of options) {
    const asked = { ...ASKED, ...option };
    const result = await attempt(onehead(gpu, "auto"), asked, inputsOf(asked));
    assert(result.verdict === "right", failureOf(result));
    await result.prepared.destroy();
  }
});

Deno.test("timeWorkInTurns() waits once for more and more calls, until a sample is long enough", async () => {
  // By a clock that goes on with the work alone, a millisecond for a call: on a busy machine any other goes on meanwhile.
  let now = 0;
  const clock = { value: () => now, configurable: true };
  Object.defineProperty(performance, "now", clock);
  try {
    const calls: number[] = [];
    const work = (count: number) => {
      calls.push(count);
      now += count;
      return Promise.resolve();
    };
    const times = await timeWorkInTurns([work, () => Promise.resolve()], EFFORT);
    assertEquals(times, [[1, 1], [0, 0]]);
    assertEquals(calls, [1, 1, 150, 150, 150]);
  } finally {
    delete (performance as { now?: unknown }).now;
  }
});

Deno.test("peers carry their versions", () => {
  for (const { name } of PEERS) assert(/ \d+\.\d+\.\d+/.test(name), name);
});

Deno.test("swapMiddle() exchanges axes, and twice is nothing", () => {
  const data = Float32Array.from({ length: 2 * 3 * 4 * 5 }, (_, i) => i);
  const swapped = swapMiddle(data, [2, 3, 4, 5]);
  const [o, x, y, i] = [1, 2, 3, 4];
  assertEquals(swapped[((o * 4 + y) * 3 + x) * 5 + i], data[((o * 3 + x) * 4 + y) * 5 + i]);
  assertEquals([...swapMiddle(swapped, [2, 4, 3, 5])], [...data]);
});

Deno.test("addendOf() masks what is after a query and what its window has left behind", () => {
  const asked = { ...ASKED, numHeads: 2, seqLen: 2, contextLen: 4 };
  const __ = -Infinity;
  assertEquals([...addendOf(asked, undefined)!.data], [0, 0, 0, __, 0, 0, 0, 0]);
  assertEquals([...addendOf({ ...asked, window: 2 }, undefined)!.data], [
    ...[__, 0, 0, __],
    ...[__, __, 0, 0],
  ]);
  const bias = Float32Array.from({ length: 16 }, (_, i) => i);
  const { data, shape } = addendOf(asked, bias)!;
  assertEquals(shape, [1, 2, 2, 4]);
  assertEquals([...data], [0, 1, 2, __, 4, 5, 6, 7, 8, 9, 10, __, 12, 13, 14, 15]);
  assertEquals(addendOf({ ...asked, seqLen: 1 }, undefined), undefined);
  assertEquals(addendOf({ ...asked, seqLen: 1, window: 4 }, undefined), undefined);
});

Deno.test("encodeModel() writes what a reader of ONNX's protobuf finds again", () => {
  const node: Node<Value> = {
    op: "GroupQueryAttention",
    domain: "com.microsoft",
    integers: { num_heads: 300 },
    floats: { softcap: 0.5 },
    inputs: [{ name: "q", type: "float16", shape: [1, 300] }, undefined, {
      name: "n",
      type: "int32",
      shape: [],
    }],
    outputs: [{ name: "o", type: "float32", shape: ["tokens", 1] }],
  };
  const w = { name: "w", type: "float32" as const, shape: [1, 2], data: Float32Array.of(3, -4) };
  const text = new TextDecoder();
  const model = readMessage(encodeModel({ ...graphOf(node, 1), initializers: [w] }));
  assertEquals(model.get(1), [11]);
  const [graph] = model.get(7)!.map((bytes) => readMessage(bytes as Uint8Array));
  const [set] = model.get(8)!.map((bytes) => readMessage(bytes as Uint8Array));
  assertEquals([text.decode(set.get(1)![0] as Uint8Array), set.get(2)], ["com.microsoft", [1]]);
  const [operator] = graph.get(1)!.map((bytes) => readMessage(bytes as Uint8Array));
  const strings = (fields: unknown[]) => fields.map((bytes) => text.decode(bytes as Uint8Array));
  assertEquals(strings(operator.get(1)!), ["q", "", "n"]);
  assertEquals(strings(operator.get(2)!), ["o"]);
  assertEquals(strings([...operator.get(4)!, ...operator.get(7)!]), [node.op, node.domain]);
  const attributes = operator.get(5)!.map((bytes) => readMessage(bytes as Uint8Array));
  assertEquals(attributes.map((attribute) => strings(attribute.get(1)!)[0]), [
    "num_heads",
    "softcap",
  ]);
  assertEquals([attributes[0].get(3), attributes[0].get(20)], [[300], [2]]);
  assertEquals([attributes[1].get(2), attributes[1].get(20)], [[0.5], [1]]);

  const values = [...graph.get(11)!, ...graph.get(12)!].map((bytes) => {
    const value = readMessage(bytes as Uint8Array);
    const type = readMessage(value.get(2)![0] as Uint8Array);
    const tensor = readMessage(type.get(1)![0] as Uint8Array);
    const shape = readMessage(tensor.get(2)![0] as Uint8Array);
    const sizes = (shape.get(1) ?? []).map((bytes) => {
      const axis = readMessage(bytes as Uint8Array);
      return axis.get(1)?.[0] ?? strings(axis.get(2)!)[0];
    });
    return [strings(value.get(1)!)[0], tensor.get(1)![0], sizes];
  });
  assertEquals(values, [["q", 10, [1, 300]], ["n", 6, []], ["o", 1, ["tokens", 1]]]);

  const [tensor] = graph.get(5)!.map((bytes) => readMessage(bytes as Uint8Array));
  assertEquals([tensor.get(1), tensor.get(2), strings(tensor.get(8)!)], [[1, 2], [1], ["w"]]);
  const raw = (tensor.get(9)![0] as Uint8Array).slice();
  assertEquals([...new Float32Array(raw.buffer)], [3, -4]);
});

/** The fields of a message, by number: numbers, and bytes of what is longer. */
function readMessage(bytes: Uint8Array): Map<number, (number | Uint8Array)[]> {
  const reader = new PbfReader(bytes);
  return reader.readFields((tag, fields: Map<number, (number | Uint8Array)[]>, reader) => {
    const read = { 0: () => reader.readVarint(), 2: () => reader.readBytes() } as const;
    const value = reader.type === 5 ? reader.readFloat() : read[reader.type as 0 | 2]();
    fields.set(tag, [...fields.get(tag) ?? [], value]);
  }, new Map());
}

Deno.test("groupQueryAttention() has a cache without the new tokens, and feeds as large as their shapes", () => {
  const asked = { ...ASKED, window: 6, softcap: 2, sinkLogits: [1, 2, 3, 4], hasBias: true };
  const inputs = inputsOf(asked);
  const { node, feeds, inPlace } = groupQueryAttention(asked, inputs);
  assertEquals(node.integers, { num_heads: 4, kv_num_heads: 2, local_window_size: 6 });
  assertEquals(node.floats, { softcap: 2 });
  assertEquals(node.inputs.length, 12);
  for (const { name, data, shape } of feeds) {
    assertEquals(data.length, shape.reduce((a, b) => a * b, 1), name);
  }
  const find = (name: string) => feeds.find((feed) => feed.name === name)!;
  assertEquals(Object.keys(inPlace), ["present_key", "present_value"]);
  const { headDim, seqLen, contextLen } = asked;
  // Row 2 of the new tokens, head 1, in [token, head, element].
  const fresh = find("key").data.slice((2 * 2 + 1) * headDim, (2 * 2 + 2) * headDim);
  const at = (contextLen + contextLen - seqLen + 2) * headDim;
  assertEquals([...fresh], [...inputs.k.slice(at, at + headDim)]);
  const past = find("past_value").data;
  const pastElements = (contextLen - seqLen) * headDim;
  assertEquals([...past.slice(0, pastElements)], [...inputs.v.slice(0, pastElements)]);
  assert(past.slice(pastElements, contextLen * headDim).every((value) => value === 7));
  assertEquals([...find("total_sequence_length").data], [contextLen]);
});

Deno.test("groupQueryAttention() leaves out what is not asked for", () => {
  const { node, feeds } = groupQueryAttention(ASKED, inputsOf(ASKED));
  assertEquals(node.inputs.length, 7);
  assertEquals([Object.keys(node.integers!), node.floats], [["num_heads", "kv_num_heads"], {}]);
  assertEquals(feeds.map(({ name }) => name).slice(0, 3), ["query", "key", "value"]);
});

Deno.test("groupQueryAttention() over a ring holds the last tokens of the past", () => {
  const asked = { ...ASKED, seqLen: 1, window: 4, ring: true };
  const inputs = inputsOf(asked);
  const { node, feeds, inPlace } = groupQueryAttention(asked, inputs);
  assertEquals([node.integers!.sliding_window_cache, inPlace], [1, {}]);
  const past = feeds.find(({ name }) => name === "past_key")!;
  assertEquals(past.shape, [1, 2, 4, 8]);
  const last = inputs.k.slice((asked.contextLen - 5) * 8, (asked.contextLen - 1) * 8);
  assertEquals([...past.data.slice(0, 4 * 8)], [...last]);
});

Deno.test("groupQueryAttention() over integers holds the same numbers, and their scale", () => {
  for (const kvBits of [8, 4] as const) {
    const asked = { ...ASKED, kvBits };
    const inputs = inputsOf(asked);
    const step = stepOf(kvBits);
    for (const value of inputs.k) assert(Number.isInteger(value / step) && Math.abs(value) < 1);
    const { node, feeds } = groupQueryAttention(asked, inputs);
    assertEquals(node.integers!.kv_cache_bit_width, kvBits);
    const scale = node.inputs[12]!;
    assertEquals([scale.name, [...feeds.find(({ name }) => name === scale.name)!.data]], [
      ...["k_scale", [step]],
    ]);
    const { data, shape } = feeds.find(({ name }) => name === "past_key")!;
    assertEquals(shape, [1, 2, ASKED.contextLen, ASKED.headDim * kvBits / 8]);
    const stored = kvBits === 8
      ? Array.from(data)
      : Array.from(data, (byte) => [(byte & 15) - 8, (byte >> 4) - 8]).flat();
    const pastElements = (ASKED.contextLen - ASKED.seqLen) * ASKED.headDim;
    assertEquals(
      stored.slice(0, pastElements).map((whole) => whole * step),
      [...inputs.k.subarray(0, pastElements)],
    );
  }
});

Deno.test("groupQueryAttention() of a ragged batch has the last tokens of each sequence as new ones", () => {
  const asked = { ...ASKED, batch: 2, seqLen: 1, contextLens: [9, 21] };
  const inputs = inputsOf(asked);
  const { feeds } = groupQueryAttention(asked, inputs);
  const find = (name: string) => feeds.find((feed) => feed.name === name)!;
  assertEquals([...find("seqlens_k").data], [8, 20]);
  const { headDim, contextLen, numKvHeads } = asked;
  // Each sequence's last token, by its first head.
  asked.contextLens.forEach((length, sequence) => {
    const at = (sequence * numKvHeads * contextLen + length - 1) * headDim;
    const fresh = find("key").data.slice(sequence * numKvHeads * headDim).slice(0, headDim);
    assertEquals([...fresh], [...inputs.k.subarray(at, at + headDim)]);
  });
  // What lies behind a sequence's end is not among its past.
  const past = find("past_key").data.slice(8 * headDim, contextLen * headDim);
  assert(past.every((value) => value === 7));
});

Deno.test("pages hold every token once, and those of sequences lie in between each other", () => {
  const asked = { ...ASKED, batch: 2, contextLen: 3 * PAGE_SIZE, isPaged: true };
  const inputs = inputsOf(asked);
  const { headDim, contextLen, numKvHeads } = asked;
  const table = pageTableOf(asked);
  assertEquals([...table], [5, 3, 1, 4, 2, 0]);
  const pool = inPages(inputs.k, asked, headDim);
  const [sequence, head, token] = [1, 1, PAGE_SIZE + 3];
  const row = (table[3 + 1] * PAGE_SIZE + 3) * numKvHeads + head;
  const at = ((sequence * numKvHeads + head) * contextLen + token) * headDim;
  assertEquals([...pool.subarray(row * headDim, (row + 1) * headDim)], [
    ...inputs.k.subarray(at, at + headDim),
  ]);
  assertEquals(pool.toSorted(), inputs.k.toSorted());
  const { node, feeds } = pagedAttention(asked, inputs);
  assertEquals(node.inputs.length, 8);
  for (const { name, data, shape } of feeds) {
    assertEquals(data.length, shape.reduce((a, b) => a * b, 1), name);
  }
});

Deno.test("standardAttention() has heads before tokens, and brings the output back", () => {
  const asked = { ...ASKED, seqLen: ASKED.contextLen };
  const inputs = inputsOf(asked);
  const { node, feeds, arrange } = standardAttention(asked, inputs);
  assertEquals([node.op, node.integers], ["Attention", { is_causal: 1 }]);
  assertEquals([...arrange(feeds[0].data as Float32Array)], [...inputs.q]);
  assertEquals(standardAttention(ASKED, inputsOf(ASKED)).node.outputs[0].shape, [1, 4, 5, 8]);
});

Deno.test("importPackage() names a package that cannot be imported, and the cure", async () => {
  const error = await assertRejects(() => importPackage("data:text/javascript,throw 1 +"));
  assertMatch(
    (error as Error).message,
    /^data:.* cannot be imported .*let this machine reach it once/,
  );
});

Deno.test("a peer that cannot be loaded rejects whatever it is asked", async () => {
  const peer = await loadPeer({ name: "lost", load: () => Promise.reject("no addon") });
  assertEquals(peer.name, "lost");
  const error = await assertRejects(() => peer.prepare(ASKED, inputsOf(ASKED)));
  assertStringIncludes((error as Error).message, "cannot load: no addon");
});
