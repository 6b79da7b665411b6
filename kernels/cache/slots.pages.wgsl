// slots.pages: the row of the storage that holds the key and the value of a column, in pages of a pool.
//
//   row(t) = (head * pages of the pool + pages[b, t / PAGE_SIZE]) * PAGE_SIZE + t mod PAGE_SIZE
//
//   pages  [B, SEQUENCE_PAGES]  u32  read  the page of each PAGE_SIZE tokens
//
// Needs context, PAGE_SIZE, SEQUENCE_PAGES, SINKS, params.
var<storage, read> pages: array<u32>;

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
    batch * SEQUENCE_PAGES,
    kvHead * params.kvStride.y - params.firstKvRow,
    context.skipped + columnAt(visible, SINKS) - SINKS,
  );
}

fn rowOfColumn(slots: Slots, index: u32) -> u32 {
  let token = index + select(slots.skipped, 0u, index < SINKS);
  let page = pages[slots.firstEntry + token / PAGE_SIZE];
  return (slots.firstPage + page) * PAGE_SIZE + token % PAGE_SIZE;
}
