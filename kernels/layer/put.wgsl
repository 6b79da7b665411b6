// put: an element of a row is written.

// variant y: to y.
//
//   y  [rows, WIDTH]  f32  write
//
// Needs WIDTH.
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] = value;
}

// variant sum: to the sum of it and y, the residual stream.
//
//   y  [rows, WIDTH]  f32  read, write
//
// Needs WIDTH.
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] += value;
}

// variant added: to y, as the sum of it and the residual stream, which stays for the backward pass.
//
//   residual  [rows, WIDTH]  f32  read
//   y         [rows, WIDTH]  f32  write
//
// Needs WIDTH.
var<storage, read> residual: array<f32>;
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[row * WIDTH + i] = residual[row * WIDTH + i] + value;
}

// variant qkv: the elements of a row are those of queries, then of keys, then of values; each goes to a tensor of its own.
//
//   q  [rows, Q_WIDTH]   f32  write
//   k  [rows, KV_WIDTH]  f32  write
//   v  [rows, KV_WIDTH]  f32  write
//
// Needs KV_WIDTH, Q_WIDTH.
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

// variant heads: the elements of a row are those of HEADS heads, HEAD_ROWS of each; a head of y is wider, and has them from
// HEAD_FIRST on.
//
//   y  [rows, HEADS, HEAD_WIDTH]  f32  write
//
// Needs HEADS, HEAD_FIRST, HEAD_ROWS, HEAD_WIDTH.
var<storage, read_write> y: array<f32>;

fn put(row: u32, i: u32, value: f32) {
  y[(row * HEADS + i / HEAD_ROWS) * HEAD_WIDTH + HEAD_FIRST + i % HEAD_ROWS] = value;
}
