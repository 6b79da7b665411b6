// column_tile: ROWS x ROW_GROUPS columns of one KV head, whose keys and values a workgroup holds.
//
// Columns of slots that have no token yet are there as well: no query sees them.
//
// Needs context, keys, pack, slots, values, Factor, LOAD_PACKS, ROWS, ROW_GROUPS, params.
const HELD_COLUMNS = ROWS * ROW_GROUPS;

struct ColumnTile {
  batch: u32,
  kvHead: u32,
  firstColumn: u32,
  numColumns: u32,
  slots: Slots,
}

fn columnTilesPerKvHead() -> u32 {
  return (params.capacity + HELD_COLUMNS - 1u) / HELD_COLUMNS;
}

fn columnTileOf(index: u32, context: Context) -> ColumnTile {
  let kvHead = index / columnTilesPerKvHead();
  let batch = kvHead / params.numKvHeads;
  let firstColumn = index % columnTilesPerKvHead() * HELD_COLUMNS;
  return ColumnTile(
    batch,
    kvHead % params.numKvHeads,
    firstColumn,
    min(HELD_COLUMNS, params.capacity - firstColumn),
    slotsOf(batch, kvHead % params.numKvHeads, context, vec2u(0u, context.len)),
  );
}

// Columns past the end of a tile repeat its last one: they are computed and not stored.
fn columnOf(tile: ColumnTile, i: u32) -> u32 {
  return tile.firstColumn + min(i, tile.numColumns - 1u);
}

fn startOfHeldKey(tile: ColumnTile, i: u32) -> u32 {
  return startOfKey(rowOfColumn(tile.slots, columnOf(tile, i)));
}

fn startOfHeldValue(tile: ColumnTile, i: u32) -> u32 {
  return startOfValue(rowOfColumn(tile.slots, columnOf(tile, i)));
}

fn heldKeyAt(load: u32) -> array<Factor, LOAD_PACKS> {
  return keysAt(load, 0u);
}

fn heldValueAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return valuesAt(load, 0u);
}
