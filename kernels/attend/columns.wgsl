// columns: the columns that any row of a tile sees, and where their keys and values begin.
//
// Needs keys, slots, values.
struct Columns {
  slots: Slots,
  count: u32,
}

// The start of the key and of the value of a column; of the last column for those past the end.
fn keyOfColumn(columns: Columns, index: u32) -> u32 {
  return startOfKey(rowOfColumn(columns.slots, min(index, columns.count - 1u)));
}

fn valueOfColumn(columns: Columns, index: u32) -> u32 {
  return startOfValue(rowOfColumn(columns.slots, min(index, columns.count - 1u)));
}
