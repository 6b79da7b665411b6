// values_numbers: values stored as numbers.
//
//   v  [rows, VALUE_DIM]  read
var<storage, read> v: array<Stored>;

// Where a row begins, in loads.
fn startOfValue(row: u32) -> u32 {
  return row * (VALUE_DIM / (PACK * LOAD_PACKS));
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(v[value + load]);
}

fn valueStep(value: u32) -> f32 {
  return 1.0;
}
