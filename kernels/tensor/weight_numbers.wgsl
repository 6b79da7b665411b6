// weight_numbers: a matrix stored as numbers.
//
//   w  [OUT, IN]  read
var<storage, read> w: array<Stored>;

fn weightsAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(w[row * (IN / (PACK * LOAD_PACKS)) + load]);
}

fn rowStep(row: u32) -> f32 {
  return 1.0;
}
