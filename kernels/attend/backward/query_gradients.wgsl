// query_gradients: the gradient of one tile of query rows, over one slice of the context.
//
//   dq[h] = sum over c of dp[c] k[c, h]
//
//   q          [B, S, N, H]                          T         read   (or [B, N, S, H]: qStride), by queryAt
//   k          [B, numKvHeads, capacity, H]          Stored    read   (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   v          [B, numKvHeads, capacity, VALUE_DIM]  Stored    read   (or [B, capacity, numKvHeads, ...]), by valuesAt
//   dO         [B, S, N, VALUE_DIM]                  T         read   (or [B, N, S, VALUE_DIM]: qStride), by dOAt
//   rowStates  [B, S, N]                             RowState  read   (or [B, N, S]: qStride)
//   dq         [slices, B, S, N, H]                  Gradient  write  (or [slices, B, N, S, H])
//
// Grid: (slices, row tiles, planes of row tiles). As in attend, a workgroup owns a slice and TILE_ROWS rows that share their KV
// head, and walks the columns that these see of the slice, TILE_COLUMNS at a time: a lane owns KEYS columns for the products,
// then KEY_LOADS loads of the key and every STRIPS-th group of COLUMNS columns for the sums.
//
// Needs columns, context, distances, meeting, pack, pair_gradient, params, row_order, row_state, row_tile, score_keys,
// sequences, slots, strips, tile, weights, Gradient, HEAD_PACKS, KEYS, KEY_PACKS, LANES, PerRow, ROWS, WORKGROUP,
// addKeys, dOsOf, dWeightsOf, queriesOf, rowStates, shrinkOf, stripOf.
alias KeySums = array<array<Wide, ROWS>, KEY_PACKS>;

var<storage, read_write> dq: array<Gradient>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let index = params.firstTile + workgroupId.z * numWorkgroups.y + workgroupId.y;
  if (index >= params.numRows / rowsPerKvHead() * tilesPerKvHead()) {
    return;
  }
  let tile = rowTileOf(index);
  let context = contextOf(tile.batch);
  let tokens = tokensOf(tile);
  let seen = vec2u(visibleColumns(context, tokens.x).x, visibleColumns(context, tokens.y).y);
  let total = countOf(seen);
  let columns = Columns(slotsOf(tile.batch, tile.kvHead, context, seen), total);
  let tiles = (total + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let perSlice = (tiles + numWorkgroups.x - 1u) / numWorkgroups.x * TILE_COLUMNS;
  let first = workgroupId.x * perSlice;
  let end = min(total, first + perSlice);

  let rowGroup = invocation / LANES;
  let lane = invocation % LANES;
  let strip = stripOf(lane);

  var visible: array<vec2u, ROWS>;
  var states: array<RowState, ROWS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, rowGroup * ROWS + i);
    visible[i] = visibleColumns(context, tokenOf(row));
    states[i] = rowStates[queryRow(tile.batch, headOf(row), tokenOf(row))];
  }
  let queries = queriesOf(tile, rowGroup, lane);
  let dOs = dOsOf(tile, rowGroup, lane);
  let shrink = shrinkOf(queries);

  var acc: KeySums;
  var distanceSums: PerRow;
  for (var start = first; start < end; start += TILE_COLUMNS) {
    let products = scoresOf(columns, start, invocation, lane, queries, shrink);
    let dWeights = dWeightsOf(columns, start, invocation, lane, dOs, shrink);
    var dProducts = array<PerRow, KEYS>();
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let row = rowOf(tile, rowGroup * ROWS + i);
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let index = start + lane + LANES * j;
        let column = columnAt(seen, index);
        let isOwn = index < end && isVisible(visible[i], column);
        let pair = pairGradient(products[i][j], dWeights[i][j], row, context, column, states[i], isOwn);
        dProducts[j][i] = pair.product;
        distanceSums[i] += atDistance(pair.score, row, context, column);
      }
    }
    // Every lane has added up the tile before.
    meet();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      // What keys are weighted by is dp.
      putWeights(rowGroup, lane + LANES * j, dProducts[j]);
    }
    meet();
    addKeys(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
  }

  // A loop that is not written out picks the row from the registers, as in attend.
  for (var i = 0u; i < ROWS; i++) {
    var sums = array<Wide, KEY_PACKS>();
    var distance = 0.0;
    /*unroll*/ for (var k = 0u; k < ROWS; k++) {
      if (i == k) {
        distance = distanceSums[k];
        /*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
          sums[j] = acc[j][k];
        }
      }
    }
    let isRow = rowGroup * ROWS + i < tile.numRows;
    let row = rowOf(tile, rowGroup * ROWS + i);
    let place = workgroupId.x * params.numRows + queryRow(tile.batch, headOf(row), tokenOf(row));
    storeDistances(place, distance, invocation, lane, isRow);
    /*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
      let pack = packOfLane(lane, j);
      let sum = sumOverStrips(sums[j], invocation, strip);
      if (isRow && strip == 0u && pack < HEAD_PACKS) {
        dq[place * HEAD_PACKS + pack] = Gradient(sum);
      }
    }
  }
}
