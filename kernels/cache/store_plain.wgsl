// store_plain: a new row becomes numbers of the storage's type.
fn store(row: NewRow, storedRow: u32, lane: u32) {
  let size = sizeOf(row);
  for (var h = lane; h < size; h += WORKGROUP) {
    put(row, storedRow * size + h, Stored(elementOf(row, h)));
  }
}
