// put_qkv: the elements of a row are those of queries, then of keys, then of values, each written to a tensor of its own.
//
//   q  [rows, Q_WIDTH]   f32  write
//   k  [rows, KV_WIDTH]  f32  write
//   v  [rows, KV_WIDTH]  f32  write
var<storage, read_write> q: array<f32>;
var<storage, read_write> k: array<f32>;
var<storage, read_write> v: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  if (i < Q_WIDTH) {
    q[row * Q_WIDTH + i] = value;
  } else if (i < Q_WIDTH + KV_WIDTH) {
    k[row * KV_WIDTH + i - Q_WIDTH] = value;
  } else {
    v[row * KV_WIDTH + i - Q_WIDTH - KV_WIDTH] = value;
  }
}
