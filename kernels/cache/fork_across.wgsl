// fork_across: rows are copied from another buffer.
var<storage, read> sourceRows: array<T>;

fn sourceAt(index: u32) -> T {
  return sourceRows[index];
}
