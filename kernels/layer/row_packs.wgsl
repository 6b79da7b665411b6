// row_packs: the packs of a row that its lanes go through several times.

// variant storage: they are loaded each time.
//
// Needs pack, stored_pack, x.
fn holdRow(first: u32, lane: u32) {
}

fn rowPack(first: u32, i: u32) -> Wide {
  return packOf(x[first + i]);
}

// variant held: each lane loads its own once.
//
// Needs pack, stored_pack, LANES, PACKS, x.
var<private> heldPacks: array<Wide, (PACKS + LANES - 1u) / LANES>;

fn holdRow(first: u32, lane: u32) {
  for (var i = lane; i < PACKS; i += LANES) {
    heldPacks[i / LANES] = packOf(x[first + i]);
  }
}

fn rowPack(first: u32, i: u32) -> Wide {
  return heldPacks[i / LANES];
}
