// kv_quantized: keys and values stored as integers, to be multiplied by the step of their row.
//
//   k  [rows, wordsOf(H)]          u32  read
//   v  [rows, wordsOf(VALUE_DIM)]  u32  read
@group(0) @binding(3) var<storage, read> k: array<Stored>;
@group(0) @binding(4) var<storage, read> v: array<Stored>;

fn keysAt(row: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return array<Factor, LOAD_PACKS>(Factor(integersOf(k[row * wordsOf(HEAD_DIM) + 1u + load * PACK / PER_WORD], load)));
}

fn keyStep(row: u32) -> f32 {
  return bitcast<f32>(k[row * wordsOf(HEAD_DIM)]);
}

fn valuesAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(integersOf(v[row * wordsOf(VALUE_DIM) + 1u + load * PACK / PER_WORD], load));
}

fn valueStep(row: u32) -> f32 {
  return bitcast<f32>(v[row * wordsOf(VALUE_DIM)]);
}
