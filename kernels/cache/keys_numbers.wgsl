// keys_numbers: keys stored as numbers.
//
//   k  [rows, H]  read
var<storage, read> k: array<Stored>;

// Where a row begins, in loads.
fn startOfKey(row: u32) -> u32 {
  return row * (HEAD_DIM / (PACK * LOAD_PACKS));
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
