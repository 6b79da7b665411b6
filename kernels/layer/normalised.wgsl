// normalised: a pack of a row is scaled to unit size, by the shift and the scale of the row, then by the gain of its elements, and
// shifted by their bias.
//
// Needs gain, moments, norm_bias, pack.
fn normalised(x: Wide, pack: u32, moments: Moments) -> Wide {
  return fma((x - moments.mean) * moments.rstd, gainAt(pack), normBiasAt(pack));
}
