// column_term: what is added up over the rows of a column.

// variant plain: the elements themselves, as for the gradient of a bias.
//
//   x  [rows, WIDTH]  f32  read
//
// Needs WIDTH.
var<storage, read> x: array<f32>;

fn termAt(row: u32, i: u32) -> f32 {
  return x[row * WIDTH + i];
}

// variant normed: gradients times the elements that a gain was multiplied with.
//
//   x        [rows, WIDTH]  f32         read
//   dy       [rows, WIDTH]  f32         read
//   moments  [rows]         mean, rstd  read
//
// Needs WIDTH.
var<storage, read> x: array<f32>;
var<storage, read> dy: array<f32>;
var<storage, read> moments: array<vec2f>;

fn termAt(row: u32, i: u32) -> f32 {
  let moment = moments[row];
  return dy[row * WIDTH + i] * (x[row * WIDTH + i] - moment.x) * moment.y;
}
