// products_f32: products of queries and keys in f32.
fn addProducts(a: Factor, b: Factor, sum: f32) -> f32 {
  return addInner(a, b, sum);
}

// Queries enter products as they are.
fn shrinkOf(queries: Queries) -> PerRow {
  var shrink: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    shrink[i] = 1.0;
  }
  return shrink;
}
