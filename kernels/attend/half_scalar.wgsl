// half_scalar: what products in f16 ask of packs of one element.
fn innerHalf(a: Factor, b: Factor) -> f16 {
  return a * b;
}
