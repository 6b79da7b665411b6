// kv_quantized: keys and values stored as integers, to be multiplied by the step of their row.
//
//   k  [rows, wordsOf(H)]          u32  read
//   v  [rows, wordsOf(VALUE_DIM)]  u32  read
@group(0) @binding(3) var<storage, read> k: array<Stored>;
@group(0) @binding(4) var<storage, read> v: array<Stored>;

fn keyAt(row: u32, pack: u32) -> Factor {
  return Factor(integersOf(k[row * wordsOf(HEAD_DIM) + 1u + pack * PACK / PER_WORD], pack));
}

fn keyStep(row: u32) -> f32 {
  return bitcast<f32>(k[row * wordsOf(HEAD_DIM)]);
}

fn valueAt(row: u32, pack: u32) -> Wide {
  return integersOf(v[row * wordsOf(VALUE_DIM) + 1u + pack * PACK / PER_WORD], pack);
}

fn valueStep(row: u32) -> f32 {
  return bitcast<f32>(v[row * wordsOf(VALUE_DIM)]);
}
