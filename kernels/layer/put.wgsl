// put: an element of a row is written.
//
//   y  [rows, WIDTH]  f32  write
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] = value;
}
