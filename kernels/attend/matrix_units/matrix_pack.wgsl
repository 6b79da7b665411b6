// matrix_pack: packs enter and leave the memory of matrix units, which is loaded from arrays of single elements alone.

// variant vec4: packs of four elements.
//
// Needs matrix_tile, pack, Factor.
fn putFactors(at: u32, x: Factor) {
  factors[at] = x.x;
  factors[at + 1u] = x.y;
  factors[at + 2u] = x.z;
  factors[at + 3u] = x.w;
}

fn productsAt(at: u32) -> Wide {
  return Wide(products[at], products[at + 1u], products[at + 2u], products[at + 3u]);
}

// variant scalar: packs of one element.
//
// Needs matrix_tile, pack, Factor.
fn putFactors(at: u32, x: Factor) {
  factors[at] = x;
}

fn productsAt(at: u32) -> Wide {
  return products[at];
}
