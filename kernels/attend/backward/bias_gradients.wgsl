// bias_gradients: the gradient of one tile of a bias, over one slice of the query rows that read it.
//
//   dBias[b, n, i, key] = sum over the rows that read the element of ds
//
//   q          [B, S, N, H]                          T         read   (or [B, N, S, H]: qStride), by queryAt
//   k          [B, numKvHeads, capacity, H]          Stored    read   (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   v          [B, numKvHeads, capacity, VALUE_DIM]  Stored    read   (or [B, capacity, numKvHeads, ...]), by valuesAt
//   dO         [B, S, N, VALUE_DIM]                  T         read   (or [B, N, S, VALUE_DIM]: qStride), by dOAt
//   rowStates  [B, S, N]                             RowState  read   (or [B, N, S]: qStride)
//   dBias      [slices, B, N, S, keys]               Gradient  write  (axes before the last may be shared)
//
// Grid: (slices, tiles of the bias, planes of them). A workgroup owns ROWS rows by TILE_COLUMNS keys of the bias, or one row
// that all tokens read; a lane owns KEYS of these keys.
//
// Needs bias_tile, context, pair_gradient, params, row_order, score_keys, sequences, slots, Gradient, KEYS, LANES,
// PerRow, ROWS, WORKGROUP, dOsOf, dWeightsOf, queriesOf, rowStates, shrinkOf.
var<storage, read_write> dBias: array<Gradient>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = workgroupId.z * numWorkgroups.y + workgroupId.y;
  if (index >= biasTiles().x * biasTiles().y) {
    return;
  }
  let tile = biasTileOf(index);
  let perSlice = (numReaders() + numWorkgroups.x - 1u) / numWorkgroups.x;
  let first = workgroupId.x * perSlice;
  let end = min(numReaders(), first + perSlice);

  var acc: array<PerRow, KEYS>;
  for (var reader = first; reader < end; reader++) {
    let rows = readerOf(tile, reader);
    let context = contextOf(rows.batch);
    let keys = BiasKeys(context, slotsOf(rows.batch, rows.kvHead, context, vec2u(0u, context.len)));
    let queries = queriesOf(rows, 0u, lane);
    let dOs = dOsOf(rows, 0u, lane);
    let shrink = shrinkOf(queries);
    let products = scoresOf(keys, tile.key, lane, lane, queries, shrink);
    let dWeights = dWeightsOf(keys, tile.key, lane, lane, dOs, shrink);
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let row = rowOf(rows, i);
      let visible = visibleColumns(context, tokenOf(row));
      let state = rowStates[queryRow(rows.batch, headOf(row), tokenOf(row))];
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let column = columnOfKey(context, tile.key + lane + LANES * j);
        let isOwn = i < rows.numRows && column < context.len && isVisible(visible, column);
        acc[j][i] += pairGradient(products[i][j], dWeights[i][j], row, context, column, state, isOwn).score;
      }
    }
  }

  let place = dot(vec3u(tile.batch, tile.head, tile.token), params.bias.stride);
  let ofSlice = workgroupId.x * biasAxes().x * biasAxes().y * biasAxes().z * params.bias.keys;
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    let key = tile.key + lane + LANES * j;
    var ofAllTokens = 0.0;
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      ofAllTokens += acc[j][i];
      if (key < params.bias.keys && tile.token + i < biasAxes().z && params.bias.stride.z != 0u) {
        dBias[ofSlice + place + i * params.bias.stride.z + key] = Gradient(acc[j][i]);
      }
    }
    if (key < params.bias.keys && params.bias.stride.z == 0u) {
      dBias[ofSlice + place + key] = Gradient(ofAllTokens);
    }
  }
}
