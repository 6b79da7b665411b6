/** New keys and values, as every cache takes them. */
import { checkObject } from "../base/check.ts";
import { checkApart } from "../gpu/apart.ts";
import { shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import type { CacheSpec } from "./cache_spec.ts";
import { tensorsOf } from "./kv_memory.ts";
import { checkNoValues, storedRows } from "./kv_shape.ts";
import type { KvView } from "./kv_view.ts";

/** The buffers of new tokens, and how many tokens they are; no values where they are keys. */
export interface NewBuffers {
  k: GPUBuffer;
  v?: GPUBuffer;
  seqLen: number;
}

/**
 * Reads new keys and values once, and checks them: tensors of the cache's shape, element type and device, in buffers apart
 * from its own.
 */
export function newBuffers(
  action: string,
  tokens: { k: Tensor; v?: Tensor },
  cache: Pick<KvView, "gpu" | "parts" | "lengthsBuffer"> & { spec: CacheSpec },
): NewBuffers {
  checkObject(action, "tokens", tokens);
  const { k, v } = tokens;
  const { gpu, spec, parts, lengthsBuffer } = cache;
  const { layout, batch, numKvHeads, dtype, valuesAre } = spec;
  const seqLen = k?.shape?.[layout === "BSNH" ? 1 : 2];
  if (valuesAre === "keys") checkNoValues(action, v);
  for (const [name, size] of storedRows(spec)) {
    const shape = shapeIn(layout, batch, numKvHeads, seqLen, size);
    checkTensor(action, name, (name === "k" ? k : v)!, { gpu, shape, dtype });
  }
  const written = [...tensorsOf(parts).map(({ buffer }) => buffer), lengthsBuffer];
  const read = tensorsOf([{ k, v }]).map(({ buffer }) => buffer);
  const rule = "new tokens must have buffers of their own, apart from those of the cache";
  checkApart(action, rule, { written, read }, { k: k.shape, v: v?.shape });
  return { k: k.buffer, v: v?.buffer, seqLen };
}
