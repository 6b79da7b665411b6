// merge_slices: the states of all slices of the context give the outputs (Flash-Decoding, 2023).
//
//   m = max_i m_i    o[h] = sum_i exp(m_i - m) o_i[h] / sum_i exp(m_i - m) d_i
//
//   partials  [slices, B, N, S, VALUE_DIM]  f32           read
//   states    [slices, B, N, S]             SoftmaxState  read
//
// Grid: (blocks of packs). An invocation owns one pack of one output row. A row that sees nothing gives 0.
//
// Needs pack, rows, state, store_row, VALUE_DIM, WORKGROUP, params.
var<storage, read> partials: array<Wide>;
var<storage, read> states: array<SoftmaxState>;

const PACKS = VALUE_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let row = invocation.x / PACKS;
  let pack = invocation.x % PACKS;
  if (!isRow(row)) {
    return;
  }
  var whole = emptyState();
  var sum = Wide();
  // The length of the buffer bounds the loop: lavapipe compiles a kernel anew for each dispatch whose loop a uniform bounds.
  let numSlices = arrayLength(&states) / params.numRows;
  for (var slice = 0u; slice < numSlices; slice++) {
    let index = slice * params.numRows + row;
    let merged = mergeStates(whole, states[index]);
    sum = exp(whole.m - merged.m) * sum + exp(states[index].m - merged.m) * partials[index * PACKS + pack];
    whole = merged;
  }
  storeRow(row, 0u, pack, sum, whole);
}
