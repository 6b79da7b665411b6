// values: where the value of a row begins, its loads, and its step.

// variant numbers: values are stored as numbers.
//
//   v  [rows, VALUE_DIM]  Stored  read
//
// Needs numbers, pack, LOAD_PACKS, VALUE_DIM, v.

// In loads.
fn startOfValue(row: u32) -> u32 {
  return row * (VALUE_DIM / (PACK * LOAD_PACKS));
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(v[value + load]);
}

fn valueStep(value: u32) -> f32 {
  return 1.0;
}

// variant texels: fill_texels has brought them to a texture, in f32.
//
// Needs pack, texels, LOAD_PACKS, VALUE_DIM, v.

// In texels.
fn startOfValue(row: u32) -> u32 {
  return row * (VALUE_DIM / PACK);
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(textureLoad(v, placeOfTexel(value + load), 0));
}

fn valueStep(value: u32) -> f32 {
  return 1.0;
}

// variant quantized: values are stored as integers; the kernel multiplies them, or their weight, by the step of the row.
//
//   v  [rows, wordsOf(VALUE_DIM)]  u32  read
//
// Needs pack, quantized_row, LOAD_PACKS, VALUE_DIM, valueIntegers, valueWord.

// In words.
fn startOfValue(row: u32) -> u32 {
  return row * wordsOf(VALUE_DIM);
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return valueIntegers(value, load);
}

// The word before the integers has it.
fn valueStep(value: u32) -> f32 {
  return stepOf(valueWord(value));
}

// variant first_of_keys: a value is the first VALUE_DIM elements of its key, as latent attention has it.
//
// A factor holds every stored number as it is, so that it is a value as well.
//
// Needs keys, pack, LOAD_PACKS.
fn startOfValue(row: u32) -> u32 {
  return startOfKey(row);
}

fn valuesAt(value: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let keys = keysAt(value, load);
  var values: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    values[p] = Wide(keys[p]);
  }
  return values;
}

fn valueStep(value: u32) -> f32 {
  return keyStep(value);
}
