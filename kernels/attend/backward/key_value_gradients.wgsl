// key_value_gradients: the gradients of one tile of keys and values, over one of SLICES slices of the query rows that see them.
//
//   dk[c, h] = sum over rows of dp[c] q[h]    dv[c, h] = sum over rows of w[c] dO[h]
//
//   q          [B, S, N, H]                          T         read   (or [B, N, S, H]: qStride), by queryAt
//   k          [B, numKvHeads, capacity, H]          Stored    read   (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   v          [B, numKvHeads, capacity, VALUE_DIM]  Stored    read   (or [B, capacity, numKvHeads, ...]), by valuesAt
//   dO         [B, S, N, VALUE_DIM]                  T         read   (or [B, N, S, VALUE_DIM]: qStride), by dOAt
//   rowStates  [B, S, N]                             RowState  read   (or [B, N, S]: qStride)
//   partials   [1, elements of k and of v]           f32       read, write  dk, then dv, with the axes of k and v
//
// Grid: (column tiles, lines of column tiles). A workgroup holds ROWS x ROW_GROUPS columns of one KV head and walks the query
// rows of its whole group, TILE_COLUMNS at a time: the two sides of attend change places. A lane owns KEYS query rows for the
// products, then loads of q and of dO for the sums. Each slice is a run of its own, and adds to what
// those before it left. A sum has one owner: its order, and so its bits, are always the same.
//
// Needs column_tile, context, meeting, pack, pair_gradient, params, passing_rows, places, sequences, slots, strips,
// sum_values, tile, weights, HEAD_PACKS, KEYS, KEY_PACKS, LANES, PACKS, PerRow, ROWS, SLICES, VALUE_PACKS, WORKGROUP,
// addKeys, dWeightsOf, heldKeysOf, heldProductsOf, heldValuesOf, putProducts, rowStates, shrinkOf, stripOf.
alias Sums = array<array<Wide, ROWS>, VALUE_PACKS>;
alias KeySums = array<array<Wide, ROWS>, KEY_PACKS>;

var<storage, read_write> partials: array<Wide>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let index = params.firstTile + workgroupId.y * numWorkgroups.x + workgroupId.x;
  // KV heads of all sequences.
  let heads = params.numRows / (params.numHeads / params.numKvHeads * params.seqLen);
  let numKvRows = heads * params.capacity;
  if (index >= heads * columnTilesPerKvHead()) {
    return;
  }
  let context = contextOf(index / columnTilesPerKvHead() / params.numKvHeads);
  let tile = columnTileOf(index, context);
  let rows = passingRowsOf(tile, context);
  let tiles = (rows.count + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let perSlice = (tiles + SLICES - 1u) / SLICES * TILE_COLUMNS;
  let first = params.slice * perSlice;
  let end = min(rows.count, first + perSlice);

  let rowGroup = invocation / LANES;
  let lane = invocation % LANES;
  let strip = stripOf(lane);
  let keys = heldKeysOf(tile, rowGroup, lane);
  let values = heldValuesOf(tile, rowGroup, lane);
  let shrink = shrinkOf(keys);

  var dk: KeySums;
  var dv: Sums;
  for (var start = first; start < end; start += TILE_COLUMNS) {
    // Every lane has added up the tile before.
    meet();
    var row = array<u32, KEYS>();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      row[j] = passingRow(rows, start + lane + LANES * j);
      putPassingPlace(rowGroup, lane + LANES * j, queryRow(rows.batch, headOf(row[j]), tokenOf(row[j])) - params.firstQueryRow);
    }
    meet();
    let products = heldProductsOf(rows, start, invocation, lane, keys, shrink);
    let dWeights = dWeightsOf(rows, start, invocation, lane, values, shrink);
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      let c = lane + LANES * j;
      let state = rowStates[passingPlace(c)];
      let visible = visibleColumns(context, tokenOf(row[j]));
      var w = PerRow();
      var dp = PerRow();
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        let column = columnOf(tile, rowGroup * ROWS + i);
        let isOwn = start + c < end && isVisible(visible, column);
        let pair = pairGradient(products[i][j], dWeights[i][j], row[j], context, column, state, isOwn);
        w[i] = pair.weight;
        dp[i] = pair.product;
      }
      putWeights(rowGroup, c, w);
      putProducts(rowGroup, c, dp);
    }
    meet();
    addValues(&dv, rows, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
    addKeys(&dk, rows, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
  }

  let isFirst = params.slice == 0u;
  // A loop that is not written out picks the column from the registers, as in attend.
  for (var i = 0u; i < ROWS; i++) {
    var keySums = array<Wide, KEY_PACKS>();
    var valueSums = array<Wide, VALUE_PACKS>();
    /*unroll*/ for (var k = 0u; k < ROWS; k++) {
      if (i == k) {
        /*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
          keySums[j] = dk[j][k];
        }
        /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
          valueSums[j] = dv[j][k];
        }
      }
    }
    let isColumn = rowGroup * ROWS + i < tile.numColumns;
    let kvRow = rowOfColumn(tile.slots, columnOf(tile, rowGroup * ROWS + i));
    /*unroll*/ for (var j = 0u; j < KEY_PACKS; j++) {
      let pack = packOfLane(lane, j);
      let sum = sumOverStrips(keySums[j], invocation, strip);
      if (isColumn && strip == 0u && pack < HEAD_PACKS) {
        let place = kvRow * HEAD_PACKS + pack;
        partials[place] = sum + select(partials[place], Wide(), isFirst);
      }
    }
    /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
      let pack = packOfLane(lane, j);
      let sum = sumOverStrips(valueSums[j], invocation, strip);
      if (isColumn && strip == 0u && pack < PACKS) {
        let place = numKvRows * HEAD_PACKS + kvRow * PACKS + pack;
        partials[place] = sum + select(partials[place], Wide(), isFirst);
      }
    }
  }
}
