// slot_row: the row of the storage that takes the key and the value of a place; the head is numbered within its part.

// variant ring: a ring of slots, of which the sinks keep the first.
//
//   slot(t) = t < SINKS ? t : SINKS + (t - SINKS) mod (capacity - SINKS)
//
// Needs append, SINKS, params.
fn slotRow(place: Place, head: u32) -> u32 {
  let turned = SINKS + (place.position - SINKS) % (params.capacity - SINKS);
  return head * params.capacity + select(turned, place.position, place.position < SINKS);
}

// variant pages: the pages of a pool, of which there are params.capacity.
//
// Needs append, page_rows, params.
fn slotRow(place: Place, head: u32) -> u32 {
  return pageRow(firstEntryOf(place.sequence), head * params.capacity, place.position);
}
