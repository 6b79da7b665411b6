// put: an element of a row is written.
//
//   y  [rows, WIDTH]  f32  write
@group(0) @binding(4) var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] = value;
}
