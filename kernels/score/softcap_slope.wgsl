// softcap_slope: the derivative of the softcap.
//
//   ds'/ds = 1 - tanh(s / softcap)^2 = 4 e / (1 + e)^2  with e = exp(-2 |s / softcap|)
//
// Needs params.
fn softcapSlope(s: f32) -> f32 {
  let decay = exp(-2.0 * abs(s / params.softcap));
  return 4.0 * decay / ((1.0 + decay) * (1.0 + decay));
}
