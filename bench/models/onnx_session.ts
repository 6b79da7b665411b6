/** A decoder in a session of ONNX Runtime, whatever its provider. */
import type { DecoderSpec } from "../../src/model/spec.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { cachesOf, NAMES } from "./onnx_decoder.ts";
import type { PreparedModel, Sequences } from "./system.ts";

/** A tensor of ONNX Runtime. */
export type OrtTensor = object;

/** The parts of a session that differ between providers. */
export interface OrtSession {
  run(
    feeds: Record<string, OrtTensor>,
    fetches: Record<string, OrtTensor | null>,
  ): Promise<Record<string, OrtTensor & { getData(): Promise<Int32Array> }>>;
  /** The names of its inputs. */
  inputNames: readonly string[];
}

/** The makers of tensors of a provider. */
export interface OrtTensors {
  /** A tensor that the host fills. */
  integers(data: Int32Array | BigInt64Array, shape: readonly number[]): OrtTensor;
  /** A tensor of floats where the provider computes, for a cache. */
  cache(shape: readonly number[]): OrtTensor;
}

/** Makes the caches of a session, which are appended to in place; tokens go through the host, one step at a time. */
export function onnxModel(
  session: OrtSession,
  { layers, numKvHeads, headDim }: DecoderSpec,
  tensors: OrtTensors,
  { sequences, maxTokens }: Sequences,
): PreparedModel {
  const shape = [sequences, numKvHeads, maxTokens, headDim];
  const caches = layers.flatMap((_, layer) =>
    cachesOf(layer).map((names) => ({ ...names, tensor: tensors.cache(shape) }))
  );
  const past = Object.fromEntries(caches.map(({ past, tensor }) => [past, tensor]));
  const present = Object.fromEntries(caches.map(({ present, tensor }) => [present, tensor]));
  /** The inputs of these that the model has. */
  const those = (inputs: Record<string, () => OrtTensor>) =>
    Object.fromEntries(
      Object.entries(inputs).filter(([name]) => session.inputNames.includes(name))
        .map(([name, make]) => [name, make()]),
    );

  /** Feeds rows of new tokens behind `before` earlier ones, and returns the next token of each. */
  const step = async (rows: readonly (readonly number[])[], before: number): Promise<number[]> => {
    const [{ length: count }] = rows;
    const length = before + count;
    const integers = (shape: number[], value: (i: number) => number) =>
      tensors.integers(Int32Array.from({ length: elementCount(shape) }, (_, i) => value(i)), shape);
    const places = those({
      [NAMES.positions]: () => integers([count], (i) => before + i),
      [NAMES.offset]: () => tensors.integers(BigInt64Array.of(BigInt(before)), [1]),
    });
    const { [NAMES.next]: next } = await session.run({
      [NAMES.tokens]: tensors.integers(Int32Array.from(rows.flat()), [sequences, count]),
      [NAMES.lastPositions]: integers([sequences], () => length - 1),
      [NAMES.length]: integers([1], () => length),
      ...places,
      ...past,
    }, { [NAMES.next]: null, ...present });
    return Array.from(await next.getData());
  };

  return {
    cacheBytes: caches.length * elementCount(shape) * Float32Array.BYTES_PER_ELEMENT,
    async generate(prompts, tokens) {
      const [{ length }] = prompts;
      const generated = [await step(prompts, 0)];
      for (let i = 1; i < tokens; i++) {
        generated.push(await step(generated[i - 1].map((token) => [token]), length + i - 1));
      }
      return prompts.map((_, sequence) => generated.map((row) => row[sequence]));
    },
  };
}
