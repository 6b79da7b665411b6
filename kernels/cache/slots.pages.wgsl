// slots.pages: the row of the storage that holds the key and the value of a column, in pages of a pool.
//
// Needs context, page_rows, SINKS, params.
struct Slots {
  // The sequence's first entry in the table of pages.
  firstEntry: u32,
  // The head's first page in its buffer.
  firstPage: u32,
  // Tokens between a column and its token; the sinks have none.
  skipped: u32,
}

// The slots of one KV head, for columns in the order of columnAt(visible, ...).
fn slotsOf(batch: u32, kvHead: u32, context: Context, visible: vec2u) -> Slots {
  return Slots(
    firstEntryOf(batch),
    kvHead * params.kvStride.y - params.firstKvRow,
    context.skipped + columnAt(visible, SINKS) - SINKS,
  );
}

fn rowOfColumn(slots: Slots, index: u32) -> u32 {
  return pageRow(slots.firstEntry, slots.firstPage, index + select(slots.skipped, 0u, index < SINKS));
}
