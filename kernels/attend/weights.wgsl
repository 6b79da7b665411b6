// weights: the weights of a tile, stepOfWeight exp(s - m) by row group and column, COLUMNS of which are loaded at once.

// variant shared: lanes exchange them through workgroup memory.
//
// Needs tile, COLUMNS, PerRow, ROW_GROUPS.
var<workgroup> weights: array<array<array<PerRow, COLUMNS>, TILE_COLUMNS / COLUMNS>, ROW_GROUPS>;

fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
  weights[rowGroup][column / COLUMNS][column % COLUMNS] = w;
}

fn weightsAt(rowGroup: u32, column: u32) -> array<PerRow, COLUMNS> {
  return weights[rowGroup][column / COLUMNS];
}

// variant own: a row group is one lane, which keeps them.
//
// Needs tile, COLUMNS, PerRow.
var<private> weights: array<array<PerRow, COLUMNS>, TILE_COLUMNS / COLUMNS>;

fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
  weights[column / COLUMNS][column % COLUMNS] = w;
}

fn weightsAt(rowGroup: u32, column: u32) -> array<PerRow, COLUMNS> {
  return weights[column / COLUMNS];
}

// variant broadcast: each lane keeps those of the columns that it scores, for itself or for neighbours to have them broadcast.
//
// Needs KEYS, LANES, PerRow.
var<private> weights: array<PerRow, KEYS>;

fn putWeights(rowGroup: u32, column: u32, w: PerRow) {
  weights[column / LANES] = w;
}
