// softcap: a score is pressed smoothly into (-softcap, softcap) (Gemma 2, arXiv 2408.00118).
//
//   s' = softcap tanh(s / softcap)
//
// Needs context, params.
fn withSoftcap(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let x = s / params.softcap;
  // WGSL's own tanh may be off by 1e-5: an exponential is not, nor, near 0 where it cancels, the series.
  let decay = exp(-2.0 * abs(x));
  let pressed = sign(x) * (1.0 - decay) / (1.0 + decay);
  let series = x * (1.0 - x * x * (0.333333333 - 0.133333333 * x * x));
  return params.softcap * select(pressed, series, abs(x) < 0.1);
}
