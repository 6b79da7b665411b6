/** A context on the host: the snapshot of each layer of each shard, as the shards made them, and a checksum over all. */
import {
  checkNames,
  failSnapshot,
  openBytes,
  packBytes,
  type SnapshotFormat,
} from "../cache/snapshot_bytes.ts";
import type { ShardSpec } from "./shard_spec.ts";

/** A context on the host. */
export interface ShardedSnapshot {
  spec: ShardSpec;
  /** Tokens of each layer. */
  lengths: readonly number[];
  /** The snapshot of each layer of each shard. */
  shards: readonly (readonly Uint8Array[])[];
}

const ACTION = "restore a sharded context";
const FORMAT: SnapshotFormat = { action: ACTION, kind: 2, version: 1 };

/** The bytes of a snapshot. */
export async function packContext(
  { spec, lengths, shards }: ShardedSnapshot,
): Promise<Uint8Array<ArrayBuffer>> {
  const sizes = shards.map((layers) => layers.map(({ length }) => length));
  const rows = new Uint8Array(sizes.flat().reduce((sum, size) => sum + size, 0));
  let at = 0;
  for (const layer of shards.flat()) {
    rows.set(layer, at);
    at += layer.length;
  }
  return await packBytes(FORMAT, { spec, lengths, sizes }, rows);
}

/**
 * Reads the bytes of a snapshot of a context of this specification.
 *
 * @throws {TypeError} If they are no `Uint8Array`.
 * @throws {SnapshotError} If they are no snapshot, not every one of them is as it was, or the context was divided in another way.
 */
export async function openContext(given: Uint8Array, spec: ShardSpec): Promise<ShardedSnapshot> {
  const { lengths, sizes, rows } = await openBytes(FORMAT, given, (header) => {
    checkNames(ACTION, "header", header, ["spec", "lengths", "sizes"]);
    checkSame(header.spec, spec);
    const lengths = readCounts("lengths", header.lengths, spec.layers);
    const sizes = readList("sizes", header.sizes, spec.shards)
      .map((ofShard) => readCounts("sizes of a shard", ofShard, spec.layers));
    return { lengths, sizes };
  });
  const needed = sizes.flat().reduce((sum, size) => sum + size, 0);
  if (rows.length !== needed) {
    failSnapshot(ACTION, "the snapshot must hold its layers", { bytes: rows.length, needed });
  }
  let at = 0;
  const shards = sizes.map((layers) => layers.map((size) => rows.subarray(at, at += size)));
  return { spec, lengths, shards };
}

function checkSame(saved: unknown, spec: ShardSpec): void {
  const [theirs, own] = [JSON.stringify(saved), JSON.stringify(spec)];
  if (theirs === own) return;
  failSnapshot(ACTION, "the snapshot must be of a context of the same specification", {
    ...{ snapshot: theirs, context: own },
  });
}

function readList(name: string, value: unknown, count: number): unknown[] {
  if (Array.isArray(value) && value.length === count) return value;
  return failSnapshot(ACTION, `there must be as many ${name} as in the specification`, {
    [name]: value,
  });
}

function readCounts(name: string, value: unknown, count: number): number[] {
  return readList(name, value, count).map((number) => {
    if (Number.isSafeInteger(number) && Number(number) >= 0) return Number(number);
    return failSnapshot(ACTION, `${name} must be whole numbers from 0`, { [name]: number });
  });
}
