// column_sums: the sums of columns, by chunks of rows.
//
//   y[c, i] = sum_t x[t, i], over the rows t of chunk c
//
//   x  [rows, WIDTH]  f32  read
//   and what put writes
//
// Grid: (blocks of columns, chunks of rows). An invocation owns a column of a chunk.
//
// Needs put, WIDTH, WORKGROUP.
struct Params {
  rows: u32,
  // Rows of a chunk.
  chunk: u32,
}

var<uniform> params: Params;
var<storage, read> x: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let column = workgroupId.x * WORKGROUP + invocation;
  if (column >= WIDTH) {
    return;
  }
  let first = workgroupId.y * params.chunk;
  let end = min(first + params.chunk, params.rows);
  var sum = 0.0;
  for (var row = first; row < end; row++) {
    sum += x[row * WIDTH + column];
  }
  put(workgroupId.y, column, sum);
}
