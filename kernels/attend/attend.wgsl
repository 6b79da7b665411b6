// attend: attention of one tile of rows over one slice of the context, in one pass over its keys and values
// (FlashAttention: Dao et al. 2022, arXiv 2205.14135).
//
//   s[c] = scoreOf(q . k[c] + shift)    m = max_c s[c]    d = sum_c exp(s[c] - m)    o[h] = sum_c exp(s[c] - m) v[c, h]
//
//   q  [B, S, N, H]                          T       read   (or [B, N, S, H], or end to end [tokens, N, H]: qStride), by
//                                                           queryAt
//   k  [B, numKvHeads, capacity, H]          Stored  read   ring (or [B, capacity, numKvHeads, ...]: kvStride), by keysAt
//   v  [B, numKvHeads, capacity, VALUE_DIM]  Stored  read   ring, by valuesAt
//   and what storeRow writes
//
// Grid: (slices, row tiles). A workgroup owns a slice and TILE_ROWS rows that share its KV head, so that a loaded key or
// value serves the whole query group; it walks the columns that these see of the slice, TILE_COLUMNS at a time. Each of
// its ROW_GROUPS groups of LANES invocations owns ROWS rows. For the scores, a lane owns KEYS columns; for the output,
// VALUE_LOADS loads of LOAD_PACKS packs of the value and every STRIPS-th group of COLUMNS columns.
//
// MAY_SKIP: a row may meet a column it must not see (another row's, or padding after the last). TELLS_WHOLE: tiles without
// such columns take a path of their own. Loops marked `unroll` are written out, as arrays that are indexed at run time leave
// registers.
//
// Needs columns, context, key_middle, lanes, masked, meeting, middle_sums, pack, params, query_shift, row_order,
// row_tile, score_keys, seen_tiles, sequences, slots, state, store_row, strips, sum_values, tile, value_middle,
// weights, KEYS, LANES, MAY_SKIP, PACKS, PerRow, ROWS, TELLS_WHOLE, VALUE_PACKS, WORKGROUP, queriesOf, scoreOf,
// shrinkOf, stripOf.
alias Sums = array<array<Wide, ROWS>, VALUE_PACKS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let tile = rowTileOf(params.firstTile + workgroupId.y);
  if (tile.numRows == 0u) {
    return;
  }
  let context = contextOf(tile.batch);
  let tokens = tokensOf(tile);
  // Columns that any row of the tile sees, and, beside sinks, those that all of them see.
  let seen = vec2u(visibleColumns(context, tokens.x).x, visibleColumns(context, tokens.y).y);
  let seenByAll = vec2u(visibleColumns(context, tokens.y).x, visibleColumns(context, tokens.x).y);
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
  var shift: PerRow;
  var ofQuery: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    visible[i] = visibleColumns(context, tokenOf(rowOf(tile, rowGroup * ROWS + i)));
    shift[i] = shiftOf(tile, rowGroup * ROWS + i);
    ofQuery[i] = totalOf(tile, rowGroup * ROWS + i);
  }

  let rows = blocksOf(tile, tokens, context);
  let queries = queriesOf(tile, rowGroup, lane);
  let shrink = shrinkOf(queries);

  var m: PerRow;
  var d: PerRow;
  var middles: PerRow;
  var acc: Sums;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    m[i] = MASKED;
  }

  var start = seenTile(rows, seen, first, end, TILE_COLUMNS, TILE_COLUMNS);
  for (; start < end; start = seenTile(rows, seen, start + TILE_COLUMNS, end, TILE_COLUMNS, TILE_COLUMNS)) {
    var s = scoresOf(columns, start, invocation, lane, queries, shrink);
    var middle = array<f32, KEYS>();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      middle[j] = keyMiddle(keyOfColumn(columns, start + lane + LANES * j));
    }
    var most = PerRow();
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      most[i] = MASKED;
      let row = rowOf(tile, rowGroup * ROWS + i);
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let index = start + lane + LANES * j;
        let column = columnAt(seen, index);
        let isOwn = index < end && isVisible(visible[i], column);
        let product = s[i][j] + fma(ofQuery[i], middle[j], shift[i]);
        s[i][j] = select(MASKED, scoreOf(product, row, context, column), isOwn);
        most[i] = max(most[i], s[i][j]);
      }
    }
    most = maxOverLanes(most, invocation, lane);

    var w = array<PerRow, KEYS>();
    var step = array<f32, KEYS>();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      let value = valueOfColumn(columns, start + lane + LANES * j);
      step[j] = stepOfWeight(value);
      middle[j] = valueMiddle(value);
    }
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let mNew = max(m[i], most[i]);
      let rescale = exp(m[i] - mNew);
      m[i] = mNew;
      d[i] *= rescale;
      middles[i] *= rescale;
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let isHidden = isMasked(s[i][j]);
        let weight = exp(s[i][j] - mNew);
        d[i] += select(weight, 0.0, isHidden);
        middles[i] += select(middle[j] * weight, 0.0, isHidden);
        w[j][i] = select(step[j] * weight, 0.0, isHidden);
      }
      /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
        acc[j][i] *= rescale;
      }
    }
    // Every lane has added up the tile before.
    meet();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      putWeights(rowGroup, lane + LANES * j, w[j]);
    }
    meet();

    let isWhole = columnAt(seen, start) >= seenByAll.x && columnAt(seen, start + TILE_COLUMNS - 1u) < seenByAll.y;
    // Compilers make two functions of these calls with a constant: one spends nothing on columns that are not seen.
    if (MAY_SKIP == 0u || (TELLS_WHOLE == 1u && isWhole)) {
      addValues(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, false);
    } else {
      addValues(&acc, columns, start, min(TILE_COLUMNS, end - start), rowGroup, lane, true);
    }
  }

  // A loop that is not written out picks the row from the registers: compilers take longer over stores than over the rest.
  for (var i = 0u; i < ROWS; i++) {
    var own = SoftmaxState();
    var ownMiddles = 0.0;
    var sums = array<Wide, VALUE_PACKS>();
    /*unroll*/ for (var k = 0u; k < ROWS; k++) {
      if (i == k) {
        own = SoftmaxState(m[k], d[k]);
        ownMiddles = middles[k];
        /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
          sums[j] = acc[j][k];
        }
      }
    }
    let state = SoftmaxState(own.m, sumOverLanes(own.d, invocation, lane));
    let added = Wide(middlesOverLanes(ownMiddles, invocation, lane));
    let isRow = rowGroup * ROWS + i < tile.numRows;
    let row = rowOf(tile, rowGroup * ROWS + i);
    /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
      let pack = packOfLane(lane, j);
      let sum = sumOverStrips(sums[j], invocation, strip);
      if (isRow && strip == 0u && pack < PACKS) {
        storeRow(row, workgroupId.x, pack, sum + added, state);
      }
    }
  }
}
