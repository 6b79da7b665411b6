// row_dots: the output of each query row times its gradient, beside what else the gradients of the row take.
//
//   D = sum_h dO[h] o[h]
//
//   lengths    [B]                   u32       read
//   o          [B, S, N, VALUE_DIM]  T         read   (or [B, N, S, VALUE_DIM])
//   dO         [B, S, N, VALUE_DIM]  T         read   (or [B, N, S, VALUE_DIM])
//   lse        [B, S, N]             f32       read   (or [B, N, S])
//   rowStates  [B, S, N]             RowState  write  (or [B, N, S])
//
// Grid: (blocks of WORKGROUP rows, lines of blocks). An invocation owns a row. The axes of rows lie alike in all buffers, the
// batch being the first.
//
// Needs lengths, pack, params, row_state, Pack, VALUE_DIM, WORKGROUP.
var<storage, read> o: array<Pack>;
var<storage, read> dO: array<Pack>;
var<storage, read> lse: array<f32>;
var<storage, read_write> rowStates: array<RowState>;

const PACKS = VALUE_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + lane;
  if (row >= params.numRows) {
    return;
  }
  var dot = 0.0;
  for (var i = row * PACKS; i < (row + 1u) * PACKS; i++) {
    dot = addInner(Wide(o[i]), Wide(dO[i]), dot);
  }
  rowStates[row] = RowState(lse[row], dot, lengthOf(batchOf(row)));
}
