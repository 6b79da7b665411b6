// queries_loaded: a load of the queries of all rows, brought by each invocation itself.
alias Queries = array<u32, ROWS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, rowGroup * ROWS + i);
    queries[i] = queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_LOADS;
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
