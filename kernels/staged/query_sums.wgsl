// query_sums: the gradient of a query is the sum of its keys, each times the gradient of their product.
//
//   dq[row, h] = sum_c dp[row, c] k[c, h]
//
//   k          [B, numKvHeads, capacity, H]     Stored        read   (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   rowStates  [B, S, N]                        RowState      read   (or [B, N, S]: qStride)
//   pairs      [rows of the block, contextLen]  PairGradient  read
//   dq         [B, S, N, H]                     T             write  (or [B, N, S, H]: qStride)
//
// Grid: (blocks of WORKGROUP packs, rows of the block). An invocation owns a pack of a row.
//
// Needs distances, keys, pack, pair, params, sequences, slots, Gradient, HEAD_DIM, WORKGROUP.
var<storage, read> pairs: array<PairGradient>;
var<storage, read_write> dq: array<Gradient>;

const HEAD_PACKS = HEAD_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = params.firstRow + workgroupId.y;
  let pack = workgroupId.x * WORKGROUP + lane;
  if (pack >= HEAD_PACKS) {
    return;
  }
  let context = contextOf(batchOf(row));
  let kvHead = headOf(row) / (params.numHeads / params.numKvHeads);
  let slots = slotsOf(batchOf(row), kvHead, context, vec2u(0u, context.len));
  let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
  var sum = Wide();
  var distance = 0.0;
  for (var column = 0u; column < context.len; column++) {
    let pair = pairs[scoresOffset(row) + column];
    let key = keysAt(startOfKey(rowOfColumn(slots, column)), pack)[0];
    // A key that the row does not see may be Inf or NaN, and 0 x Inf is NaN.
    sum += pair.product * select(key, Wide(), pair.product == 0.0);
    distance += atDistance(pair.score, row, context, column);
  }
  dq[place * HEAD_PACKS + pack] = Gradient(sum);
  storeDistances(place, distance, lane, pack, true);
}
