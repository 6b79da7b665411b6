// fork_within: rows are copied within one buffer.
fn sourceAt(index: u32) -> T {
  return rows[index];
}
