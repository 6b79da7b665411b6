// norm_bias: a vector that a norm adds to each row.

// variant none: nothing is added.
//
// Needs pack.
fn normBiasAt(pack: u32) -> Wide {
  return Wide(0.0);
}

// variant added: a vector of weights.
//
//   normBias  [elements of a row]  f32  read
//
// Needs pack.
var<storage, read> normBias: array<Wide>;

fn normBiasAt(pack: u32) -> Wide {
  return normBias[pack];
}
