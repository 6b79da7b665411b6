// lengths: the number of tokens ever appended to a sequence.

// variant given: a buffer has them.
//
//   lengths  [B]  u32  read
var<storage, read> lengths: array<u32>;

fn lengthOf(batch: u32) -> u32 {
  return lengths[batch];
}

// variant of_rows: each query row has that of its sequence, so that a kernel binds no buffer of lengths: WebGPU grants 8.
//
// Needs params, rowStates.
fn lengthOf(batch: u32) -> u32 {
  return rowStates[queryRow(batch, 0u, 0u) - params.firstQueryRow].length;
}

// variant full: every sequence has as many as there is room for.
//
// Needs params.
fn lengthOf(batch: u32) -> u32 {
  return params.capacity;
}
