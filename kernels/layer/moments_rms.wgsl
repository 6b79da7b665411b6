// moments_rms: a row is scaled by its root mean square (RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467).
fn momentsOf(offset: u32, lane: u32) -> Moments {
  var squares = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    squares = fma(x[offset + i], x[offset + i], squares);
  }
  return Moments(0.0, inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps));
}
