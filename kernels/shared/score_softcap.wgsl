// score_softcap: scores pressed smoothly into (-softcap, softcap).
//
//   s' = softcap tanh(s / softcap)
fn withSoftcap(s: f32, row: u32, context: Context, column: u32) -> f32 {
  // From 10 on tanh is 1 in f32. Some compilers make it of exponentials, which overflow, and near 0 cancel each other.
  let x = clamp(s / params.softcap, -10.0, 10.0);
  let series = x * (1.0 - x * x * (0.333333333 - 0.133333333 * x * x));
  return params.softcap * select(tanh(x), series, abs(x) < 0.1);
}
