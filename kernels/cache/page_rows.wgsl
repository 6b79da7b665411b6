// page_rows: the row of the storage that holds the key and the value of a token, in pages of a pool.
//
//   row(t) = (head * pages of the pool + pages[b, t / PAGE_SIZE]) * PAGE_SIZE + t mod PAGE_SIZE
//
//   pages  [B, SEQUENCE_PAGES]  u32  read  the page of each PAGE_SIZE tokens
//
// Needs PAGE_SIZE, SEQUENCE_PAGES.
var<storage, read> pages: array<u32>;

// A sequence's first entry in the table of pages.
fn firstEntryOf(sequence: u32) -> u32 {
  return sequence * SEQUENCE_PAGES;
}

// firstPage is the first page of the head in its buffer.
fn pageRow(firstEntry: u32, firstPage: u32, token: u32) -> u32 {
  return (firstPage + pages[firstEntry + token / PAGE_SIZE]) * PAGE_SIZE + token % PAGE_SIZE;
}
