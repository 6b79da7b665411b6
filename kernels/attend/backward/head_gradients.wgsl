// head_gradients: the gradient of a number of each query head, over all of its rows.
//
//   headGradient[n] = -sum over the rows of head n of termOf(row)
//
//   headGradient  [N]  f32  write
//
// Grid: (query heads). A workgroup owns a head, and lane i its rows i, i + WORKGROUP, ...
//
// Needs lanes, params, row_term, ROWS, WORKGROUP.
var<storage, read_write> headGradient: array<f32>;

// One sum at a time is shared.
alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = workgroupId.x;
  let numRows = params.numRows / params.numHeads;
  var sum = 0.0;
  for (var i = lane; i < numRows; i += WORKGROUP) {
    sum += termOf(queryRow(i / params.seqLen, head, i % params.seqLen), head);
  }
  let whole = sumOverLanes(sum, lane, lane);
  if (lane == 0u) {
    headGradient[head] = -whole;
  }
}
