// row_transform: the elements of a new row as integers are made of them.

// variant none: as they arrive.
//
// Needs append, new_rows.
fn stageRow(row: NewRow, lane: u32) {
}

fn transformedOf(row: NewRow, h: u32) -> f32 {
  return elementOf(row, h);
}

// variant applied: each channel is brought to its scale, then the row is rotated.
//
//   y = ((x - offset) / scale) R
//
// Needs append, channels, new_rows, rotation, KEY_BLOCK, MOST_ELEMENTS, VALUE_BLOCK, WORKGROUP.
var<workgroup> elements: array<f32, MOST_ELEMENTS>;

fn stageRow(row: NewRow, lane: u32) {
  let size = sizeOf(row);
  for (var h = lane; h < size; h += WORKGROUP) {
    var channel = valueChannel(row.kvHead, h);
    if (row.isKey) {
      channel = keyChannel(row.kvHead, h);
    }
    elements[h] = (elementOf(row, h) - channel.offset) / channel.scale;
  }
  rotate(size, select(VALUE_BLOCK, KEY_BLOCK, row.isKey), lane);
}

fn transformedOf(row: NewRow, h: u32) -> f32 {
  return elements[h];
}
