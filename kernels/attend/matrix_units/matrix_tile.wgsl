// matrix_tile: the workgroup memory of a tile whose products are computed on matrix units. Its workgroup is one subgroup.
//
//   factors   queries [ROWS, HEAD_WIDTH], keys [TILE_COLUMNS, HEAD_WIDTH], weights [ROWS, TILE_COLUMNS]  f16
//   products  scores [ROWS, TILE_COLUMNS]                                                                 f32
//
// A width is the size of a head, filled up with zeros to whole blocks. Values [TILE_COLUMNS, VALUE_WIDTH] take the place of
// the keys once these are scored, and outputs [ROWS, VALUE_WIDTH] that of the scores.
//
// Needs tile, HEAD_WIDTH, MOST_COLUMNS, MOST_WIDTH, ROWS.
const STAGED = ROWS * HEAD_WIDTH;
const WEIGHTS = STAGED + TILE_COLUMNS * MOST_WIDTH;

var<workgroup> factors: array<f16, WEIGHTS + ROWS * TILE_COLUMNS>;
var<workgroup> products: array<f32, ROWS * MOST_COLUMNS>;
