// rows_loaded: what each invocation needs of all its rows, loaded by itself.
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

fn weightsAt(rowGroup: u32, lane: u32, column: u32) -> PerRow {
  return weights[rowGroup][column];
}

fn stripOf(lane: u32) -> u32 {
  return lane / VALUE_LANES;
}
