// slots.ring: the row of the storage that holds the key and the value of a column, in a ring of slots.
//
//   slot(t) = t < SINKS ? t : SINKS + (t - SINKS) mod (capacity - SINKS)
//
// slotsOf is computed once per tile: finding a row is then two selects and one multiply-add.
//
// Needs context, SINKS, params.
struct Slots {
  // Rows from one slot to the next.
  stride: u32,
  // First row of the sinks, and the rows that column 0 would have: counted from the columns before the end of the ring, and
  // from those behind it. These two may be negative, which u32 adds up as well.
  sinks: u32,
  before: u32,
  behind: u32,
  // Number of columns before the end of the ring.
  wrapsAt: u32,
}

// The slots of one KV head, for columns in the order of columnAt(visible, ...).
fn slotsOf(batch: u32, kvHead: u32, context: Context, visible: vec2u) -> Slots {
  let ring = params.capacity - SINKS;
  let stride = params.kvStride.z;
  let sinks = dot(vec2u(batch, kvHead), params.kvStride.xy) - params.firstKvRow;
  let firstSlot = context.skipped % ring + columnAt(visible, SINKS) - SINKS;
  let before = sinks + firstSlot * stride;
  return Slots(
    stride,
    sinks,
    before,
    before - ring * stride,
    max(params.capacity, firstSlot) - firstSlot,
  );
}

fn rowOfColumn(slots: Slots, index: u32) -> u32 {
  let first = select(slots.before, slots.behind, index >= slots.wrapsAt);
  return select(first, slots.sinks, index < SINKS) + index * slots.stride;
}
