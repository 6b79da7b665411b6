// matrix_scalar: packs of one element in the workgroup memory of matrix units.
fn putFactors(at: u32, x: Factor) {
  factors[at] = x;
}

fn productsAt(at: u32) -> Wide {
  return products[at];
}
