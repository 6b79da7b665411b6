// bias: a number that is added to each element of a row.
//
//   bias  [WIDTH]  f32  read   (of a projection [OUT])
var<storage, read> bias: array<f32>;

fn biasOf(i: u32) -> f32 {
  return bias[i];
}
