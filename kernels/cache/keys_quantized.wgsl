// keys_quantized: keys stored as integers, to be multiplied by the step of their row.
//
//   k  [rows, wordsOf(H)]  u32  read
var<storage, read> k: array<Stored>;

// Where a row begins, in words.
fn startOfKey(row: u32) -> u32 {
  return row * wordsOf(HEAD_DIM);
}

fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  let word = k[key + 1u + load * LOAD_PACKS * PACK / PER_WORD];
  var keys: array<Factor, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    keys[p] = Factor(integersOf(word, packInWord(load, p)));
  }
  return keys;
}

fn keyStep(key: u32) -> f32 {
  return bitcast<f32>(k[key]);
}
