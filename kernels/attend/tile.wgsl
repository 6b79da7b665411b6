// tile: the sizes of a tile of ROWS rows by LANES x KEYS columns.
//
// Needs pack, HEAD_DIM, KEYS, LANES, LOAD_PACKS, ROWS, STRIPS, VALUE_DIM.
const TILE_COLUMNS = LANES * KEYS;

// Loads of a key, packs of a value, and the lanes that have different loads of a row that they add up.
const HEAD_LOADS = HEAD_DIM / (PACK * LOAD_PACKS);
const PACKS = VALUE_DIM / PACK;
const VALUE_LANES = LANES / STRIPS;

alias PerRow = array<f32, ROWS>;
