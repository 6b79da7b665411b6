// kv_plain: keys and values stored as numbers, a pack of them in each load.
//
//   k  [rows, H]          read
//   v  [rows, VALUE_DIM]  read
@group(0) @binding(3) var<storage, read> k: array<Stored>;
@group(0) @binding(4) var<storage, read> v: array<Stored>;

fn keysAt(row: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return array<Factor, LOAD_PACKS>(Factor(k[row * (HEAD_DIM / PACK) + load]));
}

fn keyStep(row: u32) -> f32 {
  return 1.0;
}

fn valuesAt(row: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(Wide(v[row * (VALUE_DIM / PACK) + load]));
}

fn valueStep(row: u32) -> f32 {
  return 1.0;
}
