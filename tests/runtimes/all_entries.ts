/** A program over every entry of the package, as its users write one: compilers check its types, and nothing runs it. */
import {
  attend,
  Attention,
  Gpu,
  type HostTensor,
  kvCacheBytes,
  mergeStates,
  MultiQueryAttention,
  planAttention,
  RingKvCache,
  Tensor,
} from "@onehead/attention";
import * as core from "@onehead/attention";
import { bytesInMemory, openCheckpoint, Safetensors } from "@onehead/attention/checkpoints";
import * as checkpoints from "@onehead/attention/checkpoints";
import { connect, modelFingerprint, ShardedKv, Workers } from "@onehead/attention/cluster";
import * as cluster from "@onehead/attention/cluster";
import { Decoder, parseTokenizer, ReferenceDecoder } from "@onehead/attention/decoder";
import * as decoder from "@onehead/attention/decoder";

export const entries = { core, checkpoints, cluster, decoder };

/** Attention: outputs that are asked for are there without a question mark. */
export async function attends(device: GPUDevice, x: HostTensor): Promise<Float32Array> {
  const gpu = await Gpu.from(device);
  const { o, lse } = await attend(gpu, { q: x, k: x, v: x }, { outputs: ["lse"] });
  const merged = await mergeStates(gpu, [{ o, lse }]);
  return merged.o.data;
}

/** A decode step of one's own encoder and buffers. */
export async function decodes(gpu: Gpu, encoder: GPUCommandEncoder): Promise<GPUBuffer> {
  const cache = await RingKvCache.create(gpu, { numKvHeads: 1, headDim: 64, capacity: 128 });
  const attention = await Attention.create(gpu, { ...cache.spec, numHeads: 8 });
  const [q, k, v, o] = await Promise.all(
    [8, 1, 1, 8].map((heads) => Tensor.empty(gpu, [1, 1, heads, 64])),
  );
  cache.append(encoder, { k, v });
  attention.encode(encoder, { q, cache, o });
  return o.buffer;
}

/** The layer, from arrays to arrays. */
export async function layers(gpu: Gpu, weight: HostTensor, x: HostTensor): Promise<Float32Array> {
  const weights = { q: { weight }, k: { weight }, v: { weight }, o: { weight } };
  const layer = await MultiQueryAttention.create(gpu, weights, {
    ...{ dim: 64, numHeads: 8, cache: { capacity: 64, rope: {} } },
  });
  return (await layer.forward(x)).data;
}

/** A model from files, and what it says. */
export async function generates(gpu: Gpu, path: string, vocabulary: Uint8Array): Promise<string> {
  const { spec, weights, close } = await openCheckpoint(path);
  const model = await Decoder.create(gpu, spec, weights);
  const tokenizer = await parseTokenizer(vocabulary, { file: path, vocabSize: spec.vocabSize });
  await model.feed(tokenizer.encode("Once"));
  const generated: number[] = [];
  for await (const tokens of model.generate({ tokens: 4 })) generated.push(...tokens);
  const reference = await ReferenceDecoder.create(spec, weights);
  const { logits } = reference.forward(generated);
  await close();
  return `${tokenizer.decode(generated)} ${logits[0]}`;
}

/** A model whose keys and values are at other machines, and the workers of the same model. */
export async function spreads(gpu: Gpu, servers: string, path: string): Promise<number> {
  const { spec, weights, endOfText } = await openCheckpoint(path);
  const { layers, numHeads, numKvHeads, headDim, vocabSize } = spec;
  const joined = { connection: await connect({ servers }), prefix: "example" };
  const kv = await ShardedKv.open(joined, {
    ...{ name: "book", shards: 2, page: 64, layers: layers.length },
    ...{ numHeads, numKvHeads, headDim, valueDim: headDim },
  });
  const model = await Decoder.create(gpu, spec, weights, { kv });
  const tokenizer = { vocabSize, endOfText, decode: (tokens: readonly number[]) => `${tokens}` };
  const fingerprint = await modelFingerprint(spec, weights, tokenizer);
  const options = { name: "generate", fingerprint, readState: (state: unknown) => state };
  const workers = await Workers.open(joined, options);
  return workers.list().length + model.length;
}

/** Arithmetic and a plan. */
export async function counts(limits: GPUSupportedLimits, bytes: Uint8Array): Promise<number> {
  const { names } = await Safetensors.open(bytesInMemory("weights", bytes));
  const spec = { numHeads: 8, numKvHeads: 1, headDim: 64, capacity: 64 };
  const { scratchBytes } = planAttention(spec, limits);
  const shape = { numLayers: names.length, numKvHeads: 1, headDim: 64 };
  return kvCacheBytes(shape, { contextLen: 4096 }) + scratchBytes;
}
