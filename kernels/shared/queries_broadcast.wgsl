// queries_broadcast: a pack of the queries of all rows, loaded by SHARERS neighbours and handed round.
//
// For devices where a load costs as much when all lanes load the same. All lanes of a subgroup have the same rows: there is
// one row group, and SHARERS divides the size of every subgroup.
alias Queries = array<u32, ROW_LOADS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
    let row = rowOf(tile, i * SHARERS + lane % SHARERS);
    queries[i] = queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_PACKS;
  }
  return queries;
}

fn queriesAt(queries: Queries, pack: u32) -> array<Wide, ROWS> {
  var held: array<Wide, ROW_LOADS>;
  /*unroll*/ for (var i = 0u; i < ROW_LOADS; i++) {
    held[i] = Wide(q[queries[i] + pack]);
  }
  var x: array<Wide, ROWS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    x[i] = subgroupBroadcast(held[i / SHARERS], i % SHARERS);
  }
  return x;
}
