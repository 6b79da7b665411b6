// position_none: attention alone tells positions.
fn positionAt(token: u32, pack: u32) -> Wide {
  return Wide();
}
