// queries: an invocation comes by one load of the queries of all its rows.

// variant own: each invocation loads them itself.
//
// Needs pack, query, query_start, row_tile, LOAD_PACKS, ROWS.
alias Queries = array<u32, ROWS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    queries[i] = startOfQuery(tile, rowGroup * ROWS + i);
  }
  return queries;
}

fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
  var x: array<array<Wide, ROWS>, LOAD_PACKS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let held = queryAt(queries[i] + load);
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      x[p][i] = held[p];
    }
  }
  return x;
}

// variant sharers: SHARERS neighbours load them and broadcast.
//
// This pays on devices where a load costs as much when all lanes load the same. All lanes of a subgroup have the same rows:
// there is one row group, and SHARERS divides the size of every subgroup.
//
// Needs pack, query, query_start, row_tile, LOAD_PACKS, ROWS, ROW_LOADS, SHARERS.
alias Queries = array<u32, ROW_LOADS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
    queries[i] = startOfQuery(tile, i * SHARERS + lane % SHARERS);
  }
  return queries;
}

fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
  var held: array<array<Wide, LOAD_PACKS>, ROW_LOADS>;
  /*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
    held[i] = queryAt(queries[i] + load);
  }
  var x: array<array<Wide, ROWS>, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      x[p][i] = subgroupBroadcast(held[i / SHARERS][p], i % SHARERS);
    }
  }
  return x;
}

// variant held: each invocation loads them once, where a head is so small that all of its rows fit registers.
//
// Needs pack, query, query_start, row_tile, HEAD_LOADS, LOAD_PACKS, ROWS.
alias Queries = array<array<array<Wide, ROWS>, LOAD_PACKS>, HEAD_LOADS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let start = startOfQuery(tile, rowGroup * ROWS + i);
    for (var h = 0u; h < HEAD_LOADS; h++) {
      let held = queryAt(start + h);
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        queries[h][p][i] = held[p];
      }
    }
  }
  return queries;
}

fn queriesAt(queries: Queries, load: u32) -> array<array<Wide, ROWS>, LOAD_PACKS> {
  return queries[load];
}
