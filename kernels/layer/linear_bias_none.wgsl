// bias_none: nothing is added.
fn biasOf(i: u32) -> f32 {
  return 0.0;
}
