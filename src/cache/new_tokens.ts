/** New keys and values, as every cache takes them. */
import { checkObject } from "../base/check.ts";
import { checkApart } from "../gpu/apart.ts";
import { shapeIn } from "../tensor/layout.ts";
import { checkTensor, type Tensor } from "../tensor/tensor.ts";
import type { CacheSpec } from "./cache_spec.ts";
import type { KvView } from "./kv_view.ts";

/** The buffers of new tokens, and how many tokens they are. */
export interface NewBuffers {
  k: GPUBuffer;
  v: GPUBuffer;
  seqLen: number;
}

/**
 * Reads new keys and values once, and checks them: tensors of the cache's shape, element type and device, in buffers apart
 * from its own.
 */
export function newBuffers(
  action: string,
  tokens: { k: Tensor; v: Tensor },
  cache: Pick<KvView, "gpu" | "parts" | "lengthsBuffer"> & { spec: CacheSpec },
): NewBuffers {
  checkObject(action, "tokens", tokens);
  const { k, v } = tokens;
  const { gpu, spec, parts, lengthsBuffer } = cache;
  const { layout, batch, numKvHeads, headDim, valueDim, dtype } = spec;
  const seqLen = k?.shape?.[layout === "BSNH" ? 1 : 2];
  const check = (name: string, tensor: Tensor, size: number) => {
    const shape = shapeIn(layout, batch, numKvHeads, seqLen, size);
    checkTensor(action, name, tensor, { gpu, shape, dtype });
  };
  check("k", k, headDim);
  check("v", v, valueDim);
  const written = [...parts.flatMap(({ k, v }) => [k.buffer, v.buffer]), lengthsBuffer];
  const rule = "new tokens must have buffers of their own, apart from those of the cache";
  checkApart(action, rule, { written, read: [k.buffer, v.buffer] }, { k: k.shape, v: v.shape });
  return { k: k.buffer, v: v.buffer, seqLen };
}
