// score_keys.lanes: each lane scores keys of its own.
//
//   s[i][j] = q[i] . k[lane + LANES j]
//
// Needs columns, keys, own_keys, pack, products, queries, Factor, HEAD_LOADS, KEYS, LANES, LOAD_PACKS, PerRow, Queries, ROWS.
fn scoresOf(
  columns: Columns,
  start: u32,
  invocation: u32,
  lane: u32,
  queries: Queries,
  shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
  var key: array<u32, KEYS>;
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    key[j] = keyOfColumn(columns, start + lane + LANES * j);
  }
  var s: array<array<f32, KEYS>, ROWS>;
  for (var h = 0u; h < HEAD_LOADS; h++) {
    stageKeys(columns, start, invocation, h);
    var keys = array<array<Factor, LOAD_PACKS>, KEYS>();
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      keys[j] = ownKeysAt(key[j], lane + LANES * j, h);
    }
    let x = queriesAt(queries, h);
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        let factor = Factor(shrink[i] * x[p][i]);
        /*unroll*/ for (var j = 0u; j < KEYS; j++) {
          s[i][j] = addProducts(factor, keys[j][p], s[i][j]);
        }
      }
    }
  }
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    let step = keyStep(key[j]);
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      s[i][j] *= step / shrink[i];
    }
  }
  return s;
}

fn largestQueries(queries: Queries) -> PerRow {
  var most: PerRow;
  for (var h = 0u; h < HEAD_LOADS; h++) {
    let x = queriesAt(queries, h);
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        most[i] = max(most[i], largestOf(x[p][i]));
      }
    }
  }
  return most;
}
