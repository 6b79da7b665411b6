// bias_tile: ROWS rows of a bias by TILE_COLUMNS of its keys, and the query rows that read them.
//
// A bias is broadcast over an axis where its stride is 0: all sequences, heads or tokens read the same element.
//
// Needs context, keys, row_tile, slots, tile, values, ROWS, SINKS, params.

// Where in the axes of a bias a tile begins.
struct BiasTile {
  batch: u32,
  head: u32,
  token: u32,
  key: u32,
}

// The keys of a bias, in the sequence that is looked at.
struct BiasKeys {
  context: Context,
  slots: Slots,
}

// Sizes of the axes before the keys.
fn biasAxes() -> vec3u {
  let all = vec3u(params.numRows / (params.numHeads * params.seqLen), params.numHeads, params.seqLen);
  return select(all, vec3u(1u), params.bias.stride == vec3u(0u));
}

fn tilesAlong(tokens: u32) -> u32 {
  return (tokens + ROWS - 1u) / ROWS;
}

fn biasTiles() -> vec2u {
  let axes = biasAxes();
  return vec2u((params.bias.keys + TILE_COLUMNS - 1u) / TILE_COLUMNS, axes.x * axes.y * tilesAlong(axes.z));
}

fn biasTileOf(index: u32) -> BiasTile {
  let axes = biasAxes();
  let across = biasTiles().x;
  let row = index / across;
  let tile = row % tilesAlong(axes.z);
  let head = row / tilesAlong(axes.z);
  return BiasTile(head / axes.y, head % axes.y, tile * ROWS, index % across * TILE_COLUMNS);
}

// The tiles of query rows that read a tile of the bias: one where no axis is broadcast.
fn numReaders() -> u32 {
  let all = vec3u(params.numRows / (params.numHeads * params.seqLen), params.numHeads, tilesAlong(params.seqLen));
  let readers = select(vec3u(1u), all, params.bias.stride == vec3u(0u));
  return readers.x * readers.y * readers.z;
}

fn readerOf(tile: BiasTile, index: u32) -> RowTile {
  let tokenTiles = select(1u, tilesAlong(params.seqLen), params.bias.stride.z == 0u);
  let heads = select(1u, params.numHeads, params.bias.stride.y == 0u);
  let token = tile.token + index % tokenTiles * ROWS;
  let head = tile.head + index / tokenTiles % heads;
  let batch = tile.batch + index / (tokenTiles * heads);
  let groupSize = params.numHeads / params.numKvHeads;
  return RowTile(
    batch,
    head / groupSize,
    head % groupSize * params.seqLen + token,
    min(ROWS, params.seqLen - token),
  );
}

// The column of a key; beyond all columns where the context has none.
fn columnOfKey(context: Context, key: u32) -> u32 {
  let isGone = key >= SINKS && key < SINKS + context.skipped;
  return select(key - select(context.skipped, 0u, key < SINKS), context.len, isGone);
}

fn kvRowOfKey(keys: BiasKeys, index: u32) -> u32 {
  let last = max(keys.context.len, 1u) - 1u;
  return rowOfColumn(keys.slots, min(columnOfKey(keys.context, index), last));
}

fn startOfBiasKey(keys: BiasKeys, index: u32) -> u32 {
  return startOfKey(kvRowOfKey(keys, index));
}

fn startOfBiasValue(keys: BiasKeys, index: u32) -> u32 {
  return startOfValue(kvRowOfKey(keys, index));
}
