// filled_rows: the rows of a KV head of a sequence that fill_texels brings to a texture.

// variant contiguous: those that hold tokens.
//
// Needs lengths, params.
struct FilledRows {
  first: u32,
  stride: u32,
  count: u32,
}

fn filledRowsOf(batch: u32, kvHead: u32) -> FilledRows {
  let first = dot(vec2u(batch, kvHead), params.kvStride.xy);
  return FilledRows(first, params.kvStride.z, min(lengthOf(batch), params.capacity));
}

fn filledRow(rows: FilledRows, index: u32) -> u32 {
  return rows.first + index * rows.stride;
}

// variant pages: those of tokens that a new token of the sequence sees; none of a sequence without new tokens.
//
// Sequences that share a page write the same numbers to the same texels.
//
// Needs context, new_tokens, sequences, slots.
struct FilledRows {
  slots: Slots,
  count: u32,
}

fn filledRowsOf(batch: u32, kvHead: u32) -> FilledRows {
  let context = contextOf(batch);
  let seen = vec2u(visibleColumns(context, startOf(batch)).x, context.len);
  return FilledRows(slotsOf(batch, kvHead, context, seen), select(countOf(seen), 0u, countOfNew(batch) == 0u));
}

fn filledRow(rows: FilledRows, index: u32) -> u32 {
  return rowOfColumn(rows.slots, index);
}
