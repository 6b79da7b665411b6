// gain: a vector that a norm multiplies each row of unit size with.

// variant storage: it is bound as storage.
//
//   gain  [elements of a row]  f32  read
//
// Needs pack.
var<storage, read> gain: array<Wide>;

fn gainAt(pack: u32) -> Wide {
  return gain[pack];
}

// variant uniform: it is bound as a uniform.
//
//   gain  [elements of a row]  f32  uniform
//
// Needs pack, PACKS.
var<uniform> gain: array<Wide, PACKS>;

fn gainAt(pack: u32) -> Wide {
  return gain[pack];
}
