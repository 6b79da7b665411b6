// norm: each row is scaled to unit size.
//
//   y[t, i] = (x[t, i] - mean) rstd w[i] + b[i]
//
//   x     [rows, WIDTH]  f32  read
//   gain  [WIDTH]        f32  read
//   and what biasOf reads and put writes; mean and rstd are those of momentsOf
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the elements i, i + LANES, ...
//
// Needs moments, put, row_bias, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numRows: u32,
  // Keeps a variance from 0.
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> x: array<f32>;
var<storage, read> gain: array<f32>;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
  if (row >= params.numRows) {
    return;
  }
  let moments = momentsOf(row * WIDTH, lane);
  for (var i = lane; i < WIDTH; i += LANES) {
    put(row, i, fma((x[row * WIDTH + i] - moments.mean) * moments.rstd, gain[i], biasOf(i)));
  }
}
