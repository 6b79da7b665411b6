// queries_loaded: a pack of the queries of all rows, loaded by each invocation itself.
alias Queries = array<u32, ROWS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, rowGroup * ROWS + i);
    queries[i] = queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_PACKS;
  }
  return queries;
}

fn queriesAt(queries: Queries, pack: u32) -> array<Wide, ROWS> {
  var x: array<Wide, ROWS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    x[i] = Wide(q[queries[i] + pack]);
  }
  return x;
}
