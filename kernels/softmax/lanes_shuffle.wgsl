// lanes_shuffle: reductions over the lanes of a row group, within a subgroup.
//
// LANES divides the size of every subgroup, so that a butterfly over LANES neighbours stays in the row group.
fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
  // Nobody may still read the weights that come next.
  workgroupBarrier();
  var most = own;
  // Strides are constants here, for which GPUs have cheaper ways: this is done for every tile, sums but once.
  /*unroll*/ for (var r = 0u; r < HALVINGS; r++) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      most[i] = max(most[i], subgroupShuffleXor(most[i], LANES >> (r + 1u)));
    }
  }
  return most;
}

fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  var sum = own;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    sum += subgroupShuffleXor(sum, stride);
  }
  return sum;
}
