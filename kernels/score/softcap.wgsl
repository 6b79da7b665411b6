// score_softcap: scores pressed smoothly into (-softcap, softcap).
//
//   s' = softcap tanh(s / softcap)
fn withSoftcap(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let x = s / params.softcap;
  // By an exponential, as WGSL's own tanh may be off by 1e-5. Near 0, where that cancels, by the series.
  let decay = exp(-2.0 * abs(x));
  let pressed = sign(x) * (1.0 - decay) / (1.0 + decay);
  let series = x * (1.0 - x * x * (0.333333333 - 0.133333333 * x * x));
  return params.softcap * select(pressed, series, abs(x) < 0.1);
}
