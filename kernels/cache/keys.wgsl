// keys: where the key of a row begins, its loads as factors of products, and its step.

// variant numbers: keys are stored as numbers.
//
//   k  [rows, H]  Stored  read
//
// Needs numbers, pack, Factor, HEAD_DIM, LOAD_PACKS, k.

// In loads.
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

// variant texels: fill_texels has brought them to a texture, in f32.
//
// Needs pack, texels, Factor, HEAD_DIM, LOAD_PACKS, k.

// In texels.
fn startOfKey(row: u32) -> u32 {
  return row * (HEAD_DIM / PACK);
}

fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return array<Factor, LOAD_PACKS>(Factor(textureLoad(k, placeOfTexel(key + load), 0)));
}

fn keyStep(key: u32) -> f32 {
  return 1.0;
}

// variant quantized: keys are stored as integers; the kernel multiplies their products by the step of the row.
//
//   k  [rows, wordsOf(H)]  u32  read
//
// Needs key_words, quantized_row, Factor, HEAD_DIM, LOAD_PACKS.

// In words.
fn startOfKey(row: u32) -> u32 {
  return row * wordsOf(HEAD_DIM);
}

fn keysAt(key: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  let integers = keyIntegers(key, load);
  var keys: array<Factor, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    keys[p] = Factor(integers[p]);
  }
  return keys;
}

// The word before the integers has it.
fn keyStep(key: u32) -> f32 {
  return stepOf(keyWord(key));
}
