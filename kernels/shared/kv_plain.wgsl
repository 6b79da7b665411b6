// kv_plain: keys and values stored as numbers.
//
//   k  [rows, H]          read
//   v  [rows, VALUE_DIM]  read
@group(0) @binding(3) var<storage, read> k: array<Stored>;
@group(0) @binding(4) var<storage, read> v: array<Stored>;

fn keyAt(row: u32, pack: u32) -> Factor {
  return Factor(k[row * (HEAD_DIM / PACK) + pack]);
}

fn keyStep(row: u32) -> f32 {
  return 1.0;
}

fn valueAt(row: u32, pack: u32) -> Wide {
  return Wide(v[row * (VALUE_DIM / PACK) + pack]);
}

fn valueStep(row: u32) -> f32 {
  return 1.0;
}
