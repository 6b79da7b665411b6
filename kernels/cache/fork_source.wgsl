// fork_source: the buffer that a fork copies from.

// variant within: the buffer that it writes.
//
// Needs fork, T.
fn sourceAt(index: u32) -> T {
  return rows[index];
}

// variant across: the buffer of another part.
//
//   sourceRows  [heads of that part, capacity, H or VALUE_DIM]  T  read
//
// Needs T.
var<storage, read> sourceRows: array<T>;

fn sourceAt(index: u32) -> T {
  return sourceRows[index];
}
