// put_sum: an element is added to that of a row: the residual stream.
//
//   y  [rows, WIDTH]  f32  read, write
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] += value;
}
