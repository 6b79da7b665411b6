// row_bias: a number that is added to each element of a row.

// variant added: a vector of weights.
//
//   bias  [elements of a row]  f32  read
var<storage, read> bias: array<f32>;

fn biasOf(i: u32) -> f32 {
  return bias[i];
}

// variant none: nothing is added.
fn biasOf(i: u32) -> f32 {
  return 0.0;
}
