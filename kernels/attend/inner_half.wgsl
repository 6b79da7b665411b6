// inner_half: the inner product of two packs in f16.

// variant vec4: of packs of four elements.
//
// Needs Factor.
fn innerHalf(a: Factor, b: Factor) -> f16 {
  return dot(a, b);
}

// variant scalar: of packs of one element.
//
// Needs Factor.
fn innerHalf(a: Factor, b: Factor) -> f16 {
  return a * b;
}
