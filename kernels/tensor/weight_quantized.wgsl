// weight_quantized: a matrix stored as integers, to be multiplied by the step of their row.
//
//   w  [OUT, wordsOf(IN)]  u32  read
var<storage, read> w: array<Stored>;

fn weightsAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let word = w[row * wordsOf(IN) + 1u + load * LOAD_PACKS * PACK / PER_WORD];
  var weights: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    weights[p] = integersOf(word, packInWord(load, p));
  }
  return weights;
}

fn rowStep(row: u32) -> f32 {
  return bitcast<f32>(w[row * wordsOf(IN)]);
}
