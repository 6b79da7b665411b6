// own_keys: a lane comes by one load of each key that it scores.

// variant direct: the lane loads the key where it lies.
//
// Needs columns, keys, Factor, LOAD_PACKS.
fn stageKeys(columns: Columns, start: u32, invocation: u32, load: u32) {
}

fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return keysAt(key, load);
}

// variant staged: the workgroup brings CHUNK loads of each key of the tile to its memory, so that neighbours load
// neighbouring memory, and row groups load a key once.
//
// A key takes one place more than it has loads, so that the lanes do not wait for the same bank.
//
// Needs columns, keys, sample, tile, Factor, HEAD_LOADS, LOAD_PACKS, STAGED_LOADS, WORKGROUP.
var<workgroup> staged: array<array<array<Factor, LOAD_PACKS>, CHUNK + 1u>, TILE_COLUMNS>;

fn stageKeys(columns: Columns, start: u32, invocation: u32, load: u32) {
  if (load % CHUNK != 0u) {
    return;
  }
  // Every lane has read the chunk before.
  workgroupBarrier();
  for (var first = invocation; first < TILE_COLUMNS * CHUNK; first += WORKGROUP * STAGED_LOADS) {
    // All of these loads are under way before the first is waited for.
    var held = array<array<Factor, LOAD_PACKS>, STAGED_LOADS>();
    /*unroll*/ for (var n = 0u; n < STAGED_LOADS; n++) {
      let i = first + n * WORKGROUP;
      let key = keyOfColumn(columns, start + i / CHUNK);
      held[n] = keysAt(key, min(load + i % CHUNK, HEAD_LOADS - 1u));
    }
    /*unroll*/ for (var n = 0u; n < STAGED_LOADS; n++) {
      let i = first + n * WORKGROUP;
      staged[i / CHUNK][i % CHUNK] = held[n];
    }
  }
  workgroupBarrier();
}

fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return staged[column][load % CHUNK];
}
