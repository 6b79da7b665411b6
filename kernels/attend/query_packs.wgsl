// query_packs: queries stored unlike keys, so that the packs of a load are loaded one by one.
var<storage, read> q: array<Pack>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  var x: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    x[p] = Wide(q[load * LOAD_PACKS + p]);
  }
  return x;
}
