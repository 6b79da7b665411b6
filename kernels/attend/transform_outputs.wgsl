// transform_outputs: the states of all slices of the context give the outputs, which leave the transform of the values.
//
//   m = max_i m_i    share_i = exp(m_i - m) / d    o = offset sum_i share_i d_i + scale ((sum_i share_i o_i) R)
//
//   partials  [slices, B, N, S, VALUE_DIM]  f32           read
//   states    [slices, B, N, S]             SoftmaxState  read
//   o         [B, S, N, VALUE_DIM]          T             write  (or [B, N, S, VALUE_DIM]: qStride)
//
// d counts a sink as well, whose value is 0: offsets have the weight of the keys alone. A row that sees nothing gives 0.
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the elements i, i + WORKGROUP, ...
//
// Needs channels, lse, params, rotation, rows, sink, state, T, VALUE_BLOCK, VALUE_DIM, WORKGROUP.
var<storage, read> partials: array<f32>;
var<storage, read> states: array<SoftmaxState>;
var<storage, read_write> o: array<T>;

var<workgroup> elements: array<f32, VALUE_DIM>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
  if (!isRow(row)) {
    return;
  }
  // The length of the buffer bounds the loops: lavapipe compiles a kernel anew for each dispatch whose loop a uniform bounds.
  let numSlices = arrayLength(&states) / params.numRows;
  var ofKeys = emptyState();
  for (var slice = 0u; slice < numSlices; slice++) {
    ofKeys = mergeStates(ofKeys, states[slice * params.numRows + row]);
  }
  for (var h = lane; h < VALUE_DIM; h += WORKGROUP) {
    var sum = 0.0;
    for (var slice = 0u; slice < numSlices; slice++) {
      let index = slice * params.numRows + row;
      sum = fma(exp(states[index].m - ofKeys.m), partials[index * VALUE_DIM + h], sum);
    }
    elements[h] = sum;
  }
  rotate(VALUE_DIM, VALUE_BLOCK, lane);

  let whole = settled(withSink(row, ofKeys));
  let share = select(exp(ofKeys.m - whole.m) / whole.d, 0.0, isEmpty(whole));
  let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
  for (var h = lane; h < VALUE_DIM; h += WORKGROUP) {
    let channel = valueChannel(kvHeadOf(row), h);
    o[place * VALUE_DIM + h] = T(channel.offset * (ofKeys.d * share) + channel.scale * (elements[h] * share));
  }
  if (lane == 0u) {
    storeLse(row, whole);
  }
}
