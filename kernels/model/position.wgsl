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

// variant ragged: an embedding of the position of each new token in its sequence.
//
//   positions  [contextLen, IN]  f32  read
//
// Needs new_tokens, pack, PACKS.
var<storage, read> positions: array<Wide>;

fn positionAt(token: u32, pack: u32) -> Wide {
  return positions[positionOfRow(sequenceOfRow(token), token) * PACKS + pack];
}

// variant none: attention alone tells positions.
//
// Needs pack.
fn positionAt(token: u32, pack: u32) -> Wide {
  return Wide();
}
