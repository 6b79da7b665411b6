// places: where the passing rows of a tile lie, so that finding one again takes no division.

// variant shared: the first row group finds them for all.
//
// Needs tile.
var<workgroup> places: array<u32, TILE_COLUMNS>;

fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
  if (rowGroup == 0u) {
    places[column] = place;
  }
}

fn passingPlace(column: u32) -> u32 {
  return places[column];
}

// variant own: a row group is one lane, which keeps them.
//
// Needs tile.
var<private> places: array<u32, TILE_COLUMNS>;

fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
  places[column] = place;
}

fn passingPlace(column: u32) -> u32 {
  return places[column];
}

// variant broadcast: each of the LANES neighbours, a subgroup, keeps those of the rows that it scores.
//
// Needs KEYS, LANES.
var<private> places: array<u32, KEYS>;

fn putPassingPlace(rowGroup: u32, column: u32, place: u32) {
  places[column / LANES] = place;
}

fn passingPlace(column: u32) -> u32 {
  return subgroupShuffle(places[column / LANES], column % LANES);
}
