// broadcast: where a row's elements of a bias or a mask begin.
fn rowOffset(shape: Broadcast, row: u32) -> u32 {
  return dot(vec3u(batchOf(row), headOf(row), tokenOf(row)), shape.stride);
}
