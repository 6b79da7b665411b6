// softmax: scores to weights that sum to one over what the query sees, and are zero elsewhere.
//
//   m = max_c s[c]    d = sum_c exp(s[c] - m)    w[c] = exp(s[c] - m) / d
//
//   lengths  [B]                              u32  read
//   scores   [rows of the block, contextLen]  f32  read   (in place: the buffer of the weights)
//   weights  [rows of the block, contextLen]  f32  write
//
// Grid: (rows). A workgroup owns a row; lane i owns the visible columns i, i + WORKGROUP, ...
// A row that sees nothing has only zero weights.
@group(0) @binding(2) var<storage, read_write> weights: array<f32>;

var<workgroup> states: array<SoftmaxState, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.firstRow + workgroupId.x;
  let context = contextOf(row / (params.numHeads * params.seqLen));
  let visible = visibleColumns(context, row % params.seqLen);
  let offset = scoresOffset(row);

  var state = emptyState();
  let count = countOf(visible);
  for (var i = lane; i < count; i += WORKGROUP) {
    state = mergeStates(state, SoftmaxState(scoreAt(offset + columnAt(visible, i)), 1.0));
  }
  states[lane] = state;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      states[lane] = mergeStates(states[lane], states[lane + stride]);
    }
  }
  workgroupBarrier();

  let whole = states[0];
  let end = max(context.len, params.filledLen);
  for (var c = lane; c < end; c += WORKGROUP) {
    if (isVisible(visible, c)) {
      weights[offset + c] = exp(scoreAt(offset + c) - whole.m) / whole.d;
    } else {
      weights[offset + c] = 0.0;
    }
  }
}
