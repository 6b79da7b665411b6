// seen_tiles: the tiles of columns that a tile of rows looks at.

// variant every: all of them.
//
// Needs context, row_tile.
alias TileBlocks = bool;

fn blocksOf(tile: RowTile, tokens: vec2u, context: Context) -> TileBlocks {
  return true;
}

fn seenTile(rows: TileBlocks, seen: vec2u, start: u32, end: u32, width: u32, stride: u32) -> u32 {
  return start;
}

// variant in_blocks: those with a block that somebody sees. A tile that nobody sees costs the states of its blocks.
//
//   blocks  [B + B x heads x token blocks x column blocks]  u32  read  lengths, then states
//
// A loop of its own finds the next tile, as software devices run the whole body of a loop even where it continues at once.
//
// Needs blocks, context, row_tile, MASK_COLUMNS, MASK_IS_PER_HEAD, MASK_TOKENS, SINKS, params.
var<storage, read> blocks: array<u32>;

// Whether every pair of the present tile of columns is seen that causal and windows let a query see.
var<private> isWholeTile: bool;

// The rows of blocks that a tile of rows meets.
struct TileBlocks {
  first: u32,
  count: u32,
  stride: u32,
  // 0 where nothing is known of the blocks.
  isKnown: u32,
}

fn blocksOf(tile: RowTile, tokens: vec2u, context: Context) -> TileBlocks {
  let group = params.numHeads / params.numKvHeads;
  let first = tile.kvHead * group + tile.firstRow / params.seqLen;
  let last = tile.kvHead * group + (tile.firstRow + tile.numRows - 1u) / params.seqLen;
  let tokenBlocks = tokens / MASK_TOKENS;
  // A tile of several heads may have any of their tokens: its blocks are one for each head, or nothing is known of them.
  let isOneBlock = tokenBlocks.x == tokenBlocks.y;
  let isOneRow = first == last || MASK_IS_PER_HEAD == 0u;
  let isKnown = (isOneBlock || first == last) && blocks[tile.batch] == context.skipped + context.len;
  let start = placeOfBlocks(tile.batch, first, tokenBlocks.x);
  let columnBlocks = numBlocks(params.contextLen, MASK_COLUMNS);
  let ofHead = numBlocks(params.seqLen, MASK_TOKENS) * columnBlocks;
  return TileBlocks(
    start,
    select(last - first + 1u, tokenBlocks.y - tokenBlocks.x + 1u, isOneRow),
    select(ofHead, columnBlocks, isOneRow),
    u32(isKnown),
  );
}

// The first tile of `width` columns that somebody sees, of those from `start` on that are `stride` apart; `end` or more where
// there is none.
fn seenTile(rows: TileBlocks, seen: vec2u, start: u32, end: u32, width: u32, stride: u32) -> u32 {
  var tile = start;
  var state = NONE;
  while (tile < end) {
    state = stateOf(rows, seen, tile, min(tile + width, end));
    if (state != NONE) {
      break;
    }
    tile += stride;
  }
  isWholeTile = state == ALL;
  return tile;
}

// The state of the columns that are index-th from `first` to `end`.
fn stateOf(rows: TileBlocks, seen: vec2u, first: u32, end: u32) -> u32 {
  // Sinks and the columns of a window lie apart.
  if (rows.isKnown == 0u || first < min(SINKS, seen.x)) {
    return SOME;
  }
  let columns = vec2u(columnAt(seen, first), columnAt(seen, end - 1u)) / MASK_COLUMNS;
  let state = blocks[rows.first + columns.x];
  let width = columns.y - columns.x + 1u;
  for (var i = 1u; i < rows.count * width; i++) {
    if (blocks[rows.first + i / width * rows.stride + columns.x + i % width] != state) {
      return SOME;
    }
  }
  return state;
}
