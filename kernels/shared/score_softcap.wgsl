// score_softcap: scores pressed smoothly into (-softcap, softcap).
//
//   s' = softcap tanh(s / softcap)
fn withSoftcap(s: f32, row: u32, context: Context, column: u32) -> f32 {
  // From 10 on tanh is 1 in f32. Some compilers make it of exponentials, which overflow.
  return params.softcap * tanh(clamp(s / params.softcap, -10.0, 10.0));
}
