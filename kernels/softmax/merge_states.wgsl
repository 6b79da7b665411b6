// merge_states: attention over one more shard of a context is merged into that over the shards so far.
//
//   lse = log(exp(lse_1) + exp(lse_2))    o[h] = exp(lse_1 - lse) o_1[h] + exp(lse_2 - lse) o_2[h]
//
//   oNext    [rows, VALUE_DIM]  T    read
//   lseNext  [rows]             f32  read         natural logarithm; MASKED or less for a row that sees nothing of the shard
//   o        [rows, VALUE_DIM]  T    read, write
//   lse      [rows]             f32  read, write
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the packs i, i + WORKGROUP, ...
//
// Needs masked, pack, state, Pack, VALUE_DIM, WORKGROUP.
struct Params {
  numRows: u32,
  // 1 where there are no shards so far: o and lse are only written.
  isFirst: u32,
}

var<uniform> params: Params;
var<storage, read> oNext: array<Pack>;
var<storage, read> lseNext: array<f32>;
var<storage, read_write> o: array<Pack>;
var<storage, read_write> lse: array<f32>;

const PACKS = VALUE_DIM / PACK;

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
  let soFar = stateOf(select(lse[row], MASKED, params.isFirst == 1u));
  let next = stateOf(lseNext[row]);
  let whole = settled(mergeStates(soFar, next));
  // Every lane has read the lse that the first one is about to write.
  storageBarrier();
  if (lane == 0u) {
    lse[row] = select(whole.m + log(whole.d), MASKED, isEmpty(whole));
  }
  let shares = vec2f(shareOf(soFar, whole), shareOf(next, whole));
  for (var i = row * PACKS + lane; i < (row + 1u) * PACKS; i += WORKGROUP) {
    // An output without a share may be Inf or NaN, and 0 x Inf is NaN.
    let a = shares.x * select(Wide(o[i]), Wide(), shares.x == 0.0);
    let b = shares.y * select(Wide(oNext[i]), Wide(), shares.y == 0.0);
    o[i] = Pack(a + b);
  }
}

// The state whose sum of values is the output itself.
fn stateOf(lse: f32) -> SoftmaxState {
  if (isMasked(lse)) {
    return emptyState();
  }
  return SoftmaxState(lse, 1.0);
}

fn shareOf(state: SoftmaxState, whole: SoftmaxState) -> f32 {
  return select(exp(state.m - whole.m) * state.d / whole.d, 0.0, isEmpty(state));
}
