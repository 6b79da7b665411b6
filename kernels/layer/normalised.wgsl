// normalised: a pack of a row, by the shift and the scale of the row.

// variant none: the row is used as it is.
//
// Needs moments, pack.
fn normalised(x: Wide, pack: u32, moments: Moments) -> Wide {
  return x;
}

// variant normed: it is scaled to unit size, then by the gain of its elements, and shifted by their bias.
//
// Needs gain, moments, norm_bias, pack.
fn normalised(x: Wide, pack: u32, moments: Moments) -> Wide {
  return fma((x - moments.mean) * moments.rstd, gainAt(pack), normBiasAt(pack));
}
