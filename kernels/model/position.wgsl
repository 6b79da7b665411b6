// position: the part of an embedding that tells positions.

// variant learned: an embedding of the position, which is that behind the tokens of the cache.
//
//   positions  [contextLen, IN]  f32  read
//   lengths    [1]               u32  read
//
// Needs pack, PACKS.
var<storage, read> positions: array<Wide>;
var<storage, read> lengths: array<u32>;

fn positionAt(token: u32, pack: u32) -> Wide {
  return positions[(lengths[0] + token) * PACKS + pack];
}

// variant none: attention alone tells positions.
//
// Needs pack.
fn positionAt(token: u32, pack: u32) -> Wide {
  return Wide();
}
