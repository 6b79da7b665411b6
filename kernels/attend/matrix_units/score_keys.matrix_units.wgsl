// score_keys.matrix_units: the subgroup scores all keys of the tile on matrix units; each lane picks up those of its own.
//
//   shrink = 2^(14 - floor(log2(max |q|)))
//
// shrink brings the queries of a row as far up in f16 as they go, so that no small one is lost. A variable of a loop is
// declared with zeros, as some compilers leave one without a value as the last round did.
//
// Needs columns, keys, lanes, matrix_block, matrix_pack, matrix_tile, pack, query, query_start, row_tile, tile, BLOCK_COLUMNS,
// BLOCK_INNER, BLOCK_ROWS, Factor, HEAD_LOADS, HEAD_WIDTH, KEYS, LANES, LOAD_PACKS, PerRow, ROWS.

// The shrink of each row, which its queries were multiplied by.
alias Queries = PerRow;

const HEAD_LOADS_WIDE = HEAD_WIDTH / (PACK * LOAD_PACKS);

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var most: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    for (var h = lane; h < HEAD_LOADS; h += LANES) {
      let x = ownQueryAt(tile, i, h);
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        most[i] = max(most[i], largestOf(x[p]));
      }
    }
  }
  most = maxOverLanes(most, lane, lane);
  var shrink: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    // Bounds within which shrink and its inverse are normal numbers.
    let exponent = clamp(bitcast<u32>(most[i]) >> 23u, 15u, 254u);
    shrink[i] = bitcast<f32>((268u - exponent) << 23u);
    for (var h = lane; h < HEAD_LOADS_WIDE; h += LANES) {
      var x = array<Wide, LOAD_PACKS>();
      if (h < HEAD_LOADS) {
        x = ownQueryAt(tile, i, h);
      }
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        putFactors(i * HEAD_WIDTH + (h * LOAD_PACKS + p) * PACK, Factor(shrink[i] * x[p]));
      }
    }
  }
  return shrink;
}

fn ownQueryAt(tile: RowTile, i: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  return queryAt(startOfQuery(tile, i) + load);
}

fn shrinkOf(queries: Queries) -> PerRow {
  return queries;
}

fn scoresOf(
  columns: Columns,
  start: u32,
  invocation: u32,
  lane: u32,
  queries: Queries,
  shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
  for (var n = lane; n < TILE_COLUMNS * HEAD_LOADS_WIDE; n += LANES) {
    let c = n / HEAD_LOADS_WIDE;
    let h = n % HEAD_LOADS_WIDE;
    var keys = array<Factor, LOAD_PACKS>();
    if (h < HEAD_LOADS) {
      keys = keysAt(keyOfColumn(columns, start + c), h);
    }
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      putFactors(STAGED + c * HEAD_WIDTH + (h * LOAD_PACKS + p) * PACK, keys[p]);
    }
  }
  workgroupBarrier();
  for (var i = 0u; i < ROWS; i += BLOCK_ROWS) {
    for (var c = 0u; c < TILE_COLUMNS; c += BLOCK_COLUMNS) {
      var sum = Sum();
      for (var h = 0u; h < HEAD_WIDTH; h += BLOCK_INNER) {
        let left = leftAt(i * HEAD_WIDTH + h, HEAD_WIDTH);
        sum = addProduct(left, transposedAt(STAGED + c * HEAD_WIDTH + h, HEAD_WIDTH), sum);
      }
      storeSum(i * TILE_COLUMNS + c, TILE_COLUMNS, sum);
    }
  }
  workgroupBarrier();
  var s: array<array<f32, KEYS>, ROWS>;
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    let c = lane + LANES * j;
    let step = keyStep(keyOfColumn(columns, start + c));
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      s[i][j] = products[i * TILE_COLUMNS + c] * (step / shrink[i]);
    }
  }
  return s;
}
