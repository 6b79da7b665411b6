// tile: the sizes of a tile of ROWS rows by LANES x KEYS columns.
//
// Needs pack, HEAD_DIM, KEYS, LANES, LOAD_PACKS, ROWS, STRIPS, VALUE_DIM.
const TILE_COLUMNS = LANES * KEYS;

// Packs and loads of a key and of a value.
const HEAD_PACKS = HEAD_DIM / PACK;
const HEAD_LOADS = HEAD_PACKS / LOAD_PACKS;
const PACKS = VALUE_DIM / PACK;
const VALUE_ROW_LOADS = PACKS / LOAD_PACKS;

// Lanes that have different loads of a row which they add up.
const VALUE_LANES = LANES / STRIPS;

alias PerRow = array<f32, ROWS>;

// The j-th pack of a row that a lane adds up; it may lie past the end.
fn packOfLane(lane: u32, j: u32) -> u32 {
  return (lane % VALUE_LANES + j / LOAD_PACKS * VALUE_LANES) * LOAD_PACKS + j % LOAD_PACKS;
}
