// moments_layer: a row is shifted by its mean and scaled by its deviation (LayerNorm: Ba et al. 2016, arXiv 1607.06450).
fn momentsOf(offset: u32, lane: u32) -> Moments {
  var own = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    own += x[offset + i];
  }
  let about = sumOverLanes(own, lane, lane) / f32(WIDTH);
  // From there, as a difference of large numbers would lose a small deviation; and by what is left of the mean, as a sum of
  // large numbers loses more of it than the mean itself does.
  var rest = 0.0;
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    let difference = x[offset + i] - about;
    rest += difference;
    squares = fma(difference, difference, squares);
  }
  let shift = sumOverLanes(rest, lane, lane) / f32(WIDTH);
  let variance = max(sumOverLanes(squares, lane, lane) / f32(WIDTH) - shift * shift, 0.0);
  return Moments(about + shift, inverseSqrt(variance + params.eps));
}
