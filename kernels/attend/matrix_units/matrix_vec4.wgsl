// matrix_vec4: packs of four elements in the workgroup memory of matrix units, which are loaded from arrays of one alone.
fn putFactors(at: u32, x: Factor) {
  factors[at] = x.x;
  factors[at + 1u] = x.y;
  factors[at + 2u] = x.z;
  factors[at + 3u] = x.w;
}

fn productsAt(at: u32) -> Wide {
  return Wide(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
}
