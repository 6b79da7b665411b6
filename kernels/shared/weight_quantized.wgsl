// weight_quantized: a matrix stored as integers, to be multiplied by the step of their row.
//
//   w  [OUT, wordsOf(IN)]  u32  read
@group(0) @binding(2) var<storage, read> w: array<Stored>;

fn weightAt(row: u32, pack: u32) -> Wide {
  return integersOf(w[row * wordsOf(IN) + 1u + pack * PACK / PER_WORD], pack);
}

fn weightStep(row: u32) -> f32 {
  return bitcast<f32>(w[row * wordsOf(IN)]);
}
