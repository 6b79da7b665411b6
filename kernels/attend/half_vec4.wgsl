// half_vec4: what products in f16 ask of packs of four elements.
fn innerHalf(a: Factor, b: Factor) -> f16 {
  return dot(a, b);
}
