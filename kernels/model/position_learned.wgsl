// position_learned: an embedding of the position, which is that behind the tokens of the cache.
//
//   positions  [contextLen, IN]  f32  read
//   lengths    [1]               u32  read
var<storage, read> positions: array<Wide>;
var<storage, read> lengths: array<u32>;

fn positionAt(token: u32, pack: u32) -> Wide {
  return positions[(lengths[0] + token) * PACKS + pack];
}
