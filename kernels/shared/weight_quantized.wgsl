// weight_quantized: a matrix stored as integers, to be multiplied by the step of their row.
//
//   w  [OUT, wordsOf(IN)]  u32  read
@group(0) @binding(2) var<storage, read> w: array<Stored>;

fn weightsAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(integersOf(w[row * wordsOf(IN) + 1u + load * PACK / PER_WORD], load));
}

fn weightStep(row: u32) -> f32 {
  return bitcast<f32>(w[row * wordsOf(IN)]);
}
