// factor: an element of the first matrix of a product.

// variant row: the matrix is stored as it multiplies, a row for each row of the product.
//
//   a  [rows, inner]  f32  read
//
// Needs params.
var<storage, read> a: array<f32>;

fn factorAt(row: u32, k: u32) -> f32 {
  return a[row * params.inner + k];
}

// variant column: the matrix is stored transposed, a column for each row of the product.
//
//   a  [inner, rows]  f32  read
//
// Needs params.
var<storage, read> a: array<f32>;

fn factorAt(row: u32, k: u32) -> f32 {
  return a[k * params.rows + row];
}
