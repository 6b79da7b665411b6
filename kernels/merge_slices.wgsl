// merge_slices: the states of all slices of the context to the outputs.
//
//   m = max_i m_i    o[h] = sum_i exp(m_i - m) o_i[h] / sum_i exp(m_i - m) d_i
//
//   partials  [slices, B, N, S, VALUE_DIM]  f32  read
//   states    [slices, B, N, S]                  read   m, d
//   o         [B, S, N, VALUE_DIM]          T    write  (or [B, N, S, VALUE_DIM]: qStride)
//
// Grid: (blocks of packs). An invocation owns one pack of one output row. A row that sees nothing gives 0.
@group(0) @binding(2) var<storage, read> partials: array<Wide>;
@group(0) @binding(3) var<storage, read> states: array<SoftmaxState>;
@group(0) @binding(4) var<storage, read_write> o: array<Pack>;

const PACKS = VALUE_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let row = invocation.x / PACKS;
  let pack = invocation.x % PACKS;
  if (row >= params.numRows) {
    return;
  }
  var whole = emptyState();
  var sum = Wide();
  // Not from a uniform: lavapipe compiles a kernel anew for each dispatch whose loop is bounded by one.
  let numSlices = arrayLength(&states) / params.numRows;
  for (var slice = 0u; slice < numSlices; slice++) {
    let index = slice * params.numRows + row;
    let merged = mergeStates(whole, states[index]);
    sum = exp(whole.m - merged.m) * sum + exp(states[index].m - merged.m) * partials[index * PACKS + pack];
    whole = merged;
  }
  let batch = row / (params.numHeads * params.seqLen);
  let seen = select(1.0 / whole.d, 0.0, whole.d == 0.0);
  o[queryRow(batch, headOf(row), tokenOf(row)) * PACKS + pack] = Pack(sum * seen);
}
