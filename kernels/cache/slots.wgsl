// kv_rows: where the ring keeps the keys and values of the columns that somebody sees.
//
//   slot(t) = t < SINKS ? t : SINKS + (t - SINKS) mod (capacity - SINKS)
//
// What it takes to find them is worked out once, as the kernels that look at every column have little else to do for it.
struct KvRows {
  // Rows from one slot to the next.
  stride: u32,
  // Rows that the columns would begin at: of sinks, of what lies before the end of the ring, and behind it. These two may be
  // negative, which u32 adds up as well.
  sinks: u32,
  before: u32,
  behind: u32,
  // Columns that lie before the end of the ring, as they are counted.
  wrapsAt: u32,
}

// Of one KV head, for columns as columnAt(visible, ...) counts them.
fn kvRowsOf(batch: u32, kvHead: u32, context: Context, visible: vec2u) -> KvRows {
  let ring = params.capacity - SINKS;
  let stride = params.kvStride.z;
  let sinks = dot(vec2u(batch, kvHead), params.kvStride.xy) - params.firstKvRow;
  let firstSlot = context.skipped % ring + columnAt(visible, SINKS) - SINKS;
  let before = sinks + firstSlot * stride;
  return KvRows(
    stride,
    sinks,
    before,
    before - ring * stride,
    max(params.capacity, firstSlot) - firstSlot,
  );
}

fn kvRowAt(rows: KvRows, index: u32) -> u32 {
  let first = select(rows.before, rows.behind, index >= rows.wrapsAt);
  return select(first, rows.sinks, index < SINKS) + index * rows.stride;
}
