// query: a load of a query brings as many packs as a load of a key.

// variant stored: queries are stored as keys are, and loaded alike.
//
//   q  [B, S, N, H]  T  read  (or [B, N, S, H]: qStride)
//
// Needs numbers, pack, LOAD_PACKS, q.
fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(q[load]);
}

// variant packs: queries are stored in another type than keys, and loaded pack by pack.
//
//   q  [B, S, N, H]  T  read  (or [B, N, S, H]: qStride)
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

// variant texels: fill_texels has brought them to a texture, in f32.
//
//   q  [B, S, N, H]  f32  texture, a pack in each texel  (or [B, N, S, H]: qStride)
//
// Needs pack, texels, LOAD_PACKS.
var q: texture_2d<f32>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(textureLoad(q, placeOfTexel(load), 0));
}

// variant transformed: transform_queries has written them in f32, each with its shift and its total in loads behind its elements.
//
//   q  [B, S, N, H + 2 PACK LOAD_PACKS]  f32  read  (or [B, N, S, ...]: qStride)
//
// Needs pack, LOAD_PACKS.
var<storage, read> q: array<Wide>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  var x: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    x[p] = q[load * LOAD_PACKS + p];
  }
  return x;
}
