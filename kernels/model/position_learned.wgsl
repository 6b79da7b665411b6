// position_learned: an embedding of the position, which is that behind the tokens of the cache.
//
//   positions  [contextLen, IN]  f32  read
//   lengths    [1]               u32  read
@group(0) @binding(4) var<storage, read> positions: array<Wide>;
@group(0) @binding(5) var<storage, read> lengths: array<u32>;

fn positionAt(token: u32, pack: u32) -> Wide {
  return positions[(lengths[0] + token) * PACKS + pack];
}
