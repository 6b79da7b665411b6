/** Captured attention inputs: reading them from a file, and giving them more or fewer KV heads. */
import type { TensorFile } from "../src/checkpoints/mod.ts";
import { type HostTensor, poolKvHeads } from "../mod.ts";

/** Inputs of one attention layer, causal, and its output where the file has it. All are [1, tokens, heads, size]. */
export interface CapturedLayer {
  name: string;
  q: HostTensor;
  k: HostTensor;
  v: HostTensor;
  o?: HostTensor;
}

/**
 * Reads every `NAME.q`, `NAME.k`, `NAME.v` and, where it is there, `NAME.o`, each [tokens, heads, size].
 *
 * @throws {RangeError} If the file has no such tensors, or their shapes do not agree.
 * @throws {CheckpointError} If a tensor cannot be read.
 */
export async function readLayers(file: TensorFile): Promise<CapturedLayer[]> {
  const names = file.names.filter((name) => name.endsWith(".q")).map((name) => name.slice(0, -2));
  if (names.length === 0) {
    throw new RangeError(
      `Cannot read the inputs as there is no tensor NAME.q: the file has ${file.names.join(", ")}`,
    );
  }
  const layers: CapturedLayer[] = [];
  for (const name of names) {
    const tensor = (part: string) => withBatch(file, `${name}.${part}`);
    const layer: CapturedLayer = {
      ...{ name, q: await tensor("q"), k: await tensor("k"), v: await tensor("v") },
      o: file.names.includes(`${name}.o`) ? await tensor("o") : undefined,
    };
    checkAgreement(layer);
    layers.push(layer);
  }
  return layers;
}

/** K or V for another number of heads: each repeated, or neighbours averaged. */
export function withKvHeads({ data, shape }: HostTensor, numKvHeads: number): HostTensor {
  const [batch, tokens, heads, size] = shape;
  const all = new Float32Array(batch * tokens * numKvHeads * size);
  for (let token = 0; token < batch * tokens; token++) {
    const own = Array.prototype.slice.call(data, token * heads * size, (token + 1) * heads * size);
    const given = numKvHeads < heads
      ? poolKvHeads(own, { from: heads, to: numKvHeads })
      : repeat(own, size, numKvHeads / heads);
    all.set(given, token * numKvHeads * size);
  }
  return { data: all, shape: [batch, tokens, numKvHeads, size] };
}

/** Each row of `size` numbers `times` times. */
function repeat(rows: readonly number[], size: number, times: number): number[] {
  return Array.from(
    { length: rows.length * times },
    (_, i) => rows[Math.floor(i / (size * times)) * size + i % size],
  );
}

async function withBatch(file: TensorFile, name: string): Promise<HostTensor> {
  const { data, shape } = await file.read(name);
  if (shape.length !== 3) {
    throw new RangeError(
      `Cannot read the inputs as ${name} must be [tokens, heads, size]: current value [${shape}]`,
    );
  }
  return { data, shape: [1, ...shape] };
}

function checkAgreement({ name, q, k, v, o }: CapturedLayer): void {
  const [, tokens, heads, size] = q.shape;
  const [, , kvHeads] = k.shape;
  const fits = (tensor: HostTensor, shape: readonly number[]) => `${tensor.shape}` === `${shape}`;
  const agrees = heads % kvHeads === 0 &&
    fits(k, [1, tokens, kvHeads, size]) &&
    fits(v, k.shape) &&
    (!o || fits(o, q.shape));
  if (!agrees) {
    const shapes = Object.entries({ q, k, v, o }).map(([part, tensor]) =>
      `${part}=[${tensor?.shape.slice(1)}]`
    );
    throw new RangeError(
      `Cannot read the inputs as the shapes of ${name} must agree: current values ${
        shapes.join(", ")
      }`,
    );
  }
}
