// keys_staged: a workgroup brings CHUNK loads of each key of the tile to its memory, so that neighbours load neighbouring
// memory, and row groups load it once.
//
// One load more than are used lies between keys, so that lanes do not wait for the same bank.
var<workgroup> staged: array<array<array<Factor, LOAD_PACKS>, CHUNK + 1u>, TILE_COLUMNS>;

fn stageKeys(view: View, start: u32, invocation: u32, load: u32) {
  if (load % CHUNK != 0u) {
    return;
  }
  // Nobody may still read the chunk before.
  workgroupBarrier();
  for (var i = invocation; i < TILE_COLUMNS * CHUNK; i += WORKGROUP) {
    let column = i / CHUNK;
    let at = min(load + i % CHUNK, HEAD_LOADS - 1u);
    staged[column][i % CHUNK] = keysAt(startOfKey(kvRowOf(view, start + column)), at);
  }
  workgroupBarrier();
}

fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return staged[column][load % CHUNK];
}
