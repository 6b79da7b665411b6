// moments_layer: a row is shifted by its mean and scaled by its deviation (LayerNorm: Ba et al. 2016, arXiv 1607.06450).
fn momentsOf(offset: u32, lane: u32) -> Moments {
  var own = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    own += x[offset + i];
  }
  let mean = sumOverLanes(own, lane, lane) / f32(WIDTH);
  // From the mean, as a difference of large numbers would lose a small deviation.
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    let difference = x[offset + i] - mean;
    squares = fma(difference, difference, squares);
  }
  return Moments(mean, inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps));
}
