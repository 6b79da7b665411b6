// lanes_one: a lane that has the whole sum.
fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  return own;
}
