// inner_row: a pack of a row of the second matrix of a product.

// variant storage: the matrix is bound as a whole.
//
//   b  [inner, WIDTH]  f32  read
//
// Needs pack, PACKS.
var<storage, read> b: array<Wide>;

fn innerPack(k: u32, pack: u32) -> Wide {
  return b[k * PACKS + pack];
}

// variant uniform: the rows from params.first on are bound as a uniform.
//
//   b  [BOUND_ROWS, WIDTH]  f32  uniform
//
// Needs pack, BOUND_ROWS, PACKS, params.
var<uniform> b: array<Wide, BOUND_ROWS * PACKS>;

fn innerPack(k: u32, pack: u32) -> Wide {
  return b[(k - params.first) * PACKS + pack];
}
