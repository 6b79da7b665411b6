// products: the arithmetic of the products of queries and keys.

// variant f32: products and their sums are f32; queries enter them as they are.
//
// Needs pack, Factor, PerRow, Queries, ROWS.
fn addProducts(a: Factor, b: Factor, sum: f32) -> f32 {
  return addInner(a, b, sum);
}

fn shrinkOf(queries: Queries) -> PerRow {
  var shrink: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    shrink[i] = 1.0;
  }
  return shrink;
}

// variant f16: the products of a pack and their sum are f16, and sums of packs f32.
//
//   shrink = 2^(-3 - floor(log2(max |q|)))
//
// Needs inner_half, score_keys, Factor, PerRow, Queries, ROWS.
fn addProducts(a: Factor, b: Factor, sum: f32) -> f32 {
  return sum + f32(innerHalf(a, b));
}

// Brings queries below 1/4, so that with no key that f16 holds the products of a pack leave its range.
fn shrinkOf(queries: Queries) -> PerRow {
  let most = largestQueries(queries);
  var shrink: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    // Bounds within which shrink and its inverse are normal numbers.
    let exponent = clamp(bitcast<u32>(most[i]) >> 23u, 1u, 250u);
    shrink[i] = bitcast<f32>((251u - exponent) << 23u);
  }
  return shrink;
}
