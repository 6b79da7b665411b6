// key_value_sums: the gradients of a key and of a value are sums over the query rows of their group.
//
//   dk[c, h] = sum over rows of dp[row, c] q[row, h]    dv[c, h] = sum over rows of w[row, c] dO[row, h]
//
//   q          [B, S, N, H]                     T             read         (or [B, N, S, H]: qStride), by queryAt
//   dO         [B, S, N, VALUE_DIM]             T             read         (or [B, N, S, VALUE_DIM]: qStride), by dOAt
//   rowStates  [B, S, N]                        RowState      read         (or [B, N, S]: qStride)
//   pairs      [rows of the block, contextLen]  PairGradient  read
//   partials   [1, elements of k and of v]      f32           read, write  dk, then dv: the rows of this block are added
//
// Grid: (blocks of WORKGROUP packs of a key and its value, columns, KV heads of all sequences). An invocation owns a pack.
//
// Needs pack, pair, params, query, sequences, slots, HEAD_DIM, VALUE_DIM, WORKGROUP, dOAt.
var<storage, read> pairs: array<PairGradient>;
var<storage, read_write> partials: array<Wide>;

const HEAD_PACKS = HEAD_DIM / PACK;
const PACKS = VALUE_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let pack = workgroupId.x * WORKGROUP + lane;
  if (pack >= HEAD_PACKS + PACKS) {
    return;
  }
  let column = workgroupId.y;
  let head = workgroupId.z;
  let rowsOfHead = params.numHeads / params.numKvHeads * params.seqLen;
  let blockRows = arrayLength(&pairs) / params.contextLen;
  let first = max(params.firstRow, head * rowsOfHead);
  let end = min(params.firstRow + blockRows, (head + 1u) * rowsOfHead);
  let isKey = pack < HEAD_PACKS;

  var sum = Wide();
  for (var row = first; row < end; row++) {
    let pair = pairs[scoresOffset(row) + column];
    let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
    // What a row that does not see the key has may be Inf or NaN, and 0 x Inf is NaN.
    if (isKey) {
      sum += pair.product * select(queryAt(place * HEAD_PACKS + pack)[0], Wide(), pair.product == 0.0);
    } else {
      sum += pair.weight * select(dOAt(place * PACKS + pack - HEAD_PACKS)[0], Wide(), pair.weight == 0.0);
    }
  }

  let batch = head / params.numKvHeads;
  let context = contextOf(batch);
  let kvRow = rowOfColumn(slotsOf(batch, head % params.numKvHeads, context, vec2u(0u, context.len)), column);
  let ofValues = numWorkgroups.z * params.contextLen * HEAD_PACKS;
  let place = select(ofValues + kvRow * PACKS + pack - HEAD_PACKS, kvRow * HEAD_PACKS + pack, isKey);
  partials[place] = select(partials[place], Wide(), params.firstRow == 0u) + sum;
}
