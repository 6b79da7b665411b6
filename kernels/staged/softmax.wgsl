// softmax: scores become weights that sum to one over the keys that a query sees, and are zero elsewhere.
//
//   m = max_c s[c]    d = sum_c exp(s[c] - m)    w[c] = exp(s[c] - m) / d
//
//   weights  [rows of the block, contextLen]  f32  write
//   and the scores that scoreAt reads
//
// Grid: (rows). A workgroup owns a row; lane i owns the visible columns i, i + WORKGROUP, ...
// A row that sees nothing has only zero weights. A masked column has weight 0 and does not count.
//
// Needs context, key_share, lse, masked, params, rows, sequences, sink, softmax_input, state, WORKGROUP.
var<storage, read_write> weights: array<f32>;

var<workgroup> ofLanes: array<SoftmaxState, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.firstRow + workgroupId.x;
  if (!isRow(row)) {
    return;
  }
  let context = contextOfRow(row);
  let visible = visibleColumns(context, tokenOf(row));
  let offset = scoresOffset(row);

  var state = emptyState();
  let count = countOf(visible);
  for (var i = lane; i < count; i += WORKGROUP) {
    let score = scoreAt(offset + columnAt(visible, i));
    state = mergeStates(state, SoftmaxState(score, select(1.0, 0.0, isMasked(score))));
  }
  ofLanes[lane] = state;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      ofLanes[lane] = mergeStates(ofLanes[lane], ofLanes[lane + stride]);
    }
  }
  workgroupBarrier();
  // Every lane has read the scores that others are about to overwrite.
  storageBarrier();

  let whole = settled(withSink(row, ofLanes[0]));
  if (lane == 0u) {
    storeLse(row, whole);
    storeKeyShare(row, select(exp(ofLanes[0].m - whole.m) * ofLanes[0].d / whole.d, 0.0, isEmpty(whole)));
  }
  let end = max(context.len, params.filledLen);
  for (var c = lane; c < end; c += WORKGROUP) {
    if (isVisible(visible, c)) {
      let score = scoreAt(offset + c);
      weights[offset + c] = select(exp(score - whole.m) / whole.d, 0.0, isMasked(score));
    } else {
      weights[offset + c] = 0.0;
    }
  }
}
