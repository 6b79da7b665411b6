// weight_plain: a matrix stored as numbers.
//
//   w  [OUT, IN]  read
@group(0) @binding(2) var<storage, read> w: array<Stored>;

fn weightAt(row: u32, pack: u32) -> Wide {
  return Wide(w[row * (IN / PACK) + pack]);
}

fn weightStep(row: u32) -> f32 {
  return 1.0;
}
