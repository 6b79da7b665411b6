/** Captured attention inputs: reading them from a file, and giving them more or fewer KV heads. */
import type { HostTensor } from "../mod.ts";
import type { Safetensors } from "./safetensors.ts";

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
 */
export function readLayers(file: Safetensors): CapturedLayer[] {
  const names = file.names.filter((name) => name.endsWith(".q")).map((name) => name.slice(0, -2));
  if (names.length === 0) {
    throw new RangeError(
      `Cannot read the inputs as there is no tensor NAME.q: the file has ${file.names.join(", ")}`,
    );
  }
  return names.map((name) => {
    const tensor = (part: string) => withBatch(file, `${name}.${part}`);
    const layer = { name, q: tensor("q"), k: tensor("k"), v: tensor("v") };
    const o = file.names.includes(`${name}.o`) ? tensor("o") : undefined;
    checkAgreement({ ...layer, o });
    return { ...layer, o };
  });
}

/** K or V for another number of heads: each repeated, or neighbours averaged. */
export function withKvHeads(tensor: HostTensor, numKvHeads: number): HostTensor {
  const [batch, tokens, heads, size] = tensor.shape;
  const data = new Float32Array(batch * tokens * numKvHeads * size);
  const sources = Math.max(1, heads / numKvHeads);
  const copies = Math.max(1, numKvHeads / heads);
  for (let i = 0; i < data.length; i++) {
    const token = Math.floor(i / (numKvHeads * size));
    const head = Math.floor(i / size) % numKvHeads;
    const first = Math.floor(head / copies) * sources;
    for (let source = first; source < first + sources; source++) {
      data[i] += tensor.data[(token * heads + source) * size + i % size] / sources;
    }
  }
  return { data, shape: [batch, tokens, numKvHeads, size] };
}

function withBatch(file: Safetensors, name: string): HostTensor {
  const { data, shape } = file.get(name);
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
