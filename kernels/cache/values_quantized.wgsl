// values_quantized: values stored as integers, to be multiplied by the step of their row.
//
//   v  [rows, wordsOf(VALUE_DIM)]  u32  read
var<storage, read> v: array<Stored>;

// Where a row begins, in words.
fn startOfValue(row: u32) -> u32 {
  return row * wordsOf(VALUE_DIM);
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let word = v[value + 1u + load * LOAD_PACKS * PACK / PER_WORD];
  var values: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    values[p] = integersOf(word, packInWord(load, p));
  }
  return values;
}

fn valueStep(value: u32) -> f32 {
  return bitcast<f32>(v[value]);
}
