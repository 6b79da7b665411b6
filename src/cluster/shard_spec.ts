/** What the shards of a context and their reader agree on. */
import {
  checkFinite,
  checkGroups,
  checkInteger,
  checkObject,
  checkPositive,
} from "../base/check.ts";
import type { RemoteKvSpec } from "../model/remote_kv.ts";
import type { ShardLayout } from "./shard_layout.ts";

/** More shards or layers than there are: lists are made of both before anyone is asked. */
const MOST = 2 ** 16;

/** The shape of a sharded cache of one sequence. */
export interface ShardSpec extends ShardLayout, RemoteKvSpec {}

/** Checks a specification, and copies it: its fields in one order, those that are not given left out. */
export function copyShardSpec(action: string, spec: ShardSpec): ShardSpec {
  checkObject(action, "spec", spec);
  const { shards, page, layers, numHeads, numKvHeads, headDim, valueDim, scale, softcap } = spec;
  checkInteger(action, "shards", shards, 1, MOST);
  checkInteger(action, "layers", layers, 1, MOST);
  const sizes = { shards, page, layers, numHeads, numKvHeads, headDim, valueDim };
  for (const [name, size] of Object.entries(sizes)) checkInteger(action, name, size);
  checkGroups(action, { numHeads, numKvHeads });
  if (scale !== undefined) checkFinite(action, "scale", scale);
  if (softcap !== undefined) checkPositive(action, "softcap", softcap);
  return {
    ...sizes,
    ...(scale === undefined ? {} : { scale }),
    ...(softcap === undefined ? {} : { softcap }),
  };
}
