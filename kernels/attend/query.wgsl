// query: a load of a query brings as many packs as a load of a key.
//
//   q  [B, S, N, H]  T  read  (or [B, N, S, H]: qStride)

// variant stored: queries are stored as keys are, and loaded alike.
//
// Needs numbers, pack, LOAD_PACKS, Stored.
var<storage, read> q: array<Stored>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(q[load]);
}

// variant packs: queries are stored in another type than keys, and loaded pack by pack.
//
// Needs pack, LOAD_PACKS, Pack.
var<storage, read> q: array<Pack>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  var x: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    x[p] = Wide(q[load * LOAD_PACKS + p]);
  }
  return x;
}
