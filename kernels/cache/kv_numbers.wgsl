// kv_numbers: keys and values stored as numbers.
//
//   k  [rows, H]          read
//   v  [rows, VALUE_DIM]  read
@group(0) @binding(3) var<storage, read> k: array<Stored>;
@group(0) @binding(4) var<storage, read> v: array<Stored>;

// Where a row begins, in loads.
fn startOfKey(row: u32) -> u32 {
  return row * (HEAD_DIM / (PACK * LOAD_PACKS));
}

fn startOfValue(row: u32) -> u32 {
  return row * (VALUE_DIM / (PACK * LOAD_PACKS));
}

fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  let x = numbersOf(k[key + load]);
  var keys: array<Factor, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    keys[p] = Factor(x[p]);
  }
  return keys;
}

fn keyStep(key: u32) -> f32 {
  return 1.0;
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(v[value + load]);
}

fn valueStep(value: u32) -> f32 {
  return 1.0;
}
