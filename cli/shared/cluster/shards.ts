/** The shards of a model's context, as the commands that hold and read them agree on. */
import type { ShardSpec } from "../../../src/cluster/mod.ts";
import type { DecoderSpec } from "../../../src/model/spec.ts";

/** The name of the context: subjects of other prefixes are other contexts. */
export const CONTEXT = "context";
/** Tokens of a page: as many as a decoder feeds at once, so that a chunk of a prompt takes one round a layer. */
const PAGE = 64;

/** The shards of a model. */
export function shardSpecOf(
  { layers, numHeads, numKvHeads, headDim, scale }: DecoderSpec,
  shards: number,
): ShardSpec {
  const sizes = { layers: layers.length, numHeads, numKvHeads, headDim, valueDim: headDim };
  return { ...sizes, shards, page: PAGE, ...(scale === undefined ? {} : { scale }) };
}
