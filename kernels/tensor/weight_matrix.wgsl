// weight_matrix: the loads of a weight matrix, and the step of each of its rows.

// variant numbers: the matrix is stored as numbers.
//
//   w  [OUT, IN]  Stored  read
//
// Needs numbers, pack, IN, LOAD_PACKS, Stored.
var<storage, read> w: array<Stored>;

fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(w[row * (IN / (PACK * LOAD_PACKS)) + load]);
}

fn matrixStep(row: u32) -> f32 {
  return 1.0;
}

// variant uniform: the rows that a kernel multiplies are bound as a uniform.
//
//   w  [PART_ROWS, IN]  Stored  uniform
//
// Needs numbers, pack, IN, LOAD_PACKS, PART_ROWS, Stored.
var<uniform> w: array<Stored, PART_ROWS * (IN / (PACK * LOAD_PACKS))>;

fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(w[row * (IN / (PACK * LOAD_PACKS)) + load]);
}

fn matrixStep(row: u32) -> f32 {
  return 1.0;
}

// variant quantized: the matrix is stored as integers, which its kernel multiplies by the step of their row.
//
//   w  [OUT, wordsOf(IN)]  u32  read
//
// Needs pack, quantized_pack, quantized_row, IN, LOAD_PACKS, Stored.
var<storage, read> w: array<Stored>;

fn matrixAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let word = w[row * wordsOf(IN) + 1u + load * LOAD_PACKS * PACK / PER_WORD];
  var integers: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    integers[p] = integersOf(word, packInWord(load, p));
  }
  return integers;
}

fn matrixStep(row: u32) -> f32 {
  return stepOf(w[row * wordsOf(IN)]);
}
