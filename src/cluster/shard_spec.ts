/** What the shards of a context and their reader agree on. */
import { checkGroups, checkInteger, checkObject } from "../base/check.ts";
import type { RemoteKvSpec } from "../model/remote_kv.ts";
import type { ShardLayout } from "./shard_layout.ts";

/** The shape of a sharded cache of one sequence. */
export interface ShardSpec extends ShardLayout, RemoteKvSpec {}

/** Checks a specification, and copies it: its fields in one order, those that are not given left out. */
export function copyShardSpec(action: string, spec: ShardSpec): ShardSpec {
  checkObject(action, "spec", spec);
  const { shards, page, layers, numHeads, numKvHeads, headDim, valueDim, scale, softcap } = spec;
  const sizes = { shards, page, layers, numHeads, numKvHeads, headDim, valueDim };
  for (const [name, size] of Object.entries(sizes)) checkInteger(action, name, size);
  checkGroups(action, { numHeads, numKvHeads });
  return {
    ...sizes,
    ...(scale === undefined ? {} : { scale }),
    ...(softcap === undefined ? {} : { softcap }),
  };
}
