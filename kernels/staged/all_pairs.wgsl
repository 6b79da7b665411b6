// all_pairs: the weights and the gradients of all pairs of a query row and a key, one by one.
//
//   q          [B, S, N, H]                          T             read   (or [B, N, S, H]: qStride), by queryAt
//   k          [B, numKvHeads, capacity, H]          Stored        read   (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   v          [B, numKvHeads, capacity, VALUE_DIM]  Stored        read   (or [B, capacity, numKvHeads, ...]), by valuesAt
//   dO         [B, S, N, VALUE_DIM]                  T             read   (or [B, N, S, VALUE_DIM]: qStride), by dOAt
//   rowStates  [B, S, N]                             RowState      read   (or [B, N, S]: qStride)
//   pairs      [rows of the block, contextLen]       PairGradient  write
//
// Grid: (blocks of WORKGROUP columns, rows of the block). An invocation owns a pair.
//
// Needs context, keys, pack, pair, pair_gradient, params, query, sequences, slots, values, HEAD_DIM, VALUE_DIM,
// WORKGROUP, dOAt, rowStates.
var<storage, read_write> pairs: array<PairGradient>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.firstRow + workgroupId.y;
  let column = workgroupId.x * WORKGROUP + lane;
  if (column >= params.contextLen) {
    return;
  }
  let context = contextOf(batchOf(row));
  let kvHead = headOf(row) / (params.numHeads / params.numKvHeads);
  let kvRow = rowOfColumn(slotsOf(batchOf(row), kvHead, context, vec2u(0u, context.len)), column);
  let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
  var product = 0.0;
  for (var i = 0u; i < HEAD_DIM / PACK; i++) {
    product = addInner(queryAt(place * (HEAD_DIM / PACK) + i)[0], keysAt(startOfKey(kvRow), i)[0], product);
  }
  var dWeight = 0.0;
  for (var i = 0u; i < VALUE_DIM / PACK; i++) {
    dWeight = addInner(dOAt(place * (VALUE_DIM / PACK) + i)[0], valuesAt(startOfValue(kvRow), i)[0], dWeight);
  }
  let isSeen = isVisible(visibleColumns(context, tokenOf(row)), column);
  pairs[scoresOffset(row) + column] = pairGradient(product, dWeight, row, context, column, rowStates[place], isSeen);
}
