// middle_sums: the sum over lanes of the middles of values, each times its weight.

// variant summed: integers of values are about the middle of their row.
//
// Needs lanes.
fn middlesOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  return sumOverLanes(own, invocation, lane);
}

// variant none: they are about 0, or there are none.
fn middlesOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  return 0.0;
}
