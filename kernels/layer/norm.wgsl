// norm: each row is scaled to unit size.
//
//   y[t, i] = (x[t, i] - mean) rstd w[i] + b[i]
//
//   x  [rows, WIDTH]  f32  read
//   and what normalised reads and putPack writes; mean and rstd are those of momentsOf
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the packs i, i + LANES, ...
//
// Needs moments, normalised, pack, put_pack, row_packs, stored_pack, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numRows: u32,
  // Keeps a variance from 0.
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> x: array<StoredPack>;

const PACKS = WIDTH / PACK;

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
  holdRow(row * PACKS, lane);
  let moments = momentsOf(row * PACKS, lane);
  for (var i = lane; i < PACKS; i += LANES) {
    putPack(row, i, normalised(rowPack(row * PACKS, i), i, moments));
  }
}
