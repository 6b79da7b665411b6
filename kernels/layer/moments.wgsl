// moments: the shift and the scale of a row that is normalised, and the gradient through its shift.

// variant rms: the root mean square is the scale (RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467).
//
// Needs lanes, pack, row_packs, LANES, PACKS, WIDTH, params.
struct Moments {
  mean: f32,
  rstd: f32,
}

fn momentsOf(first: u32, lane: u32) -> Moments {
  var squares = 0.0;
  for (var i = lane; i < PACKS; i += LANES) {
    squares = addInner(rowPack(first, i), rowPack(first, i), squares);
  }
  return Moments(0.0, inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps));
}

// The shift is a constant.
fn meanGradient(mean: f32) -> f32 {
  return 0.0;
}

// variant layer: the mean is the shift, and the deviation the scale (LayerNorm: Ba et al. 2016, arXiv 1607.06450).
//
// Needs lanes, pack, row_packs, LANES, PACKS, WIDTH, params.
struct Moments {
  mean: f32,
  rstd: f32,
}

fn momentsOf(first: u32, lane: u32) -> Moments {
  var own = 0.0;
  for (var i = lane; i < PACKS; i += LANES) {
    own = addInner(rowPack(first, i), Wide(1.0), own);
  }
  let about = sumOverLanes(own, lane, lane) / f32(WIDTH);
  // Squares are taken about the mean, as a difference of large numbers would lose a small deviation; the rest of the mean
  // corrects it, as a sum of large numbers loses more of the mean than rounding does.
  var rest = 0.0;
  var squares = 0.0;
  for (var i = lane; i < PACKS; i += LANES) {
    let difference = rowPack(first, i) - about;
    rest = addInner(difference, Wide(1.0), rest);
    squares = addInner(difference, difference, squares);
  }
  let shift = sumOverLanes(rest, lane, lane) / f32(WIDTH);
  let variance = max(sumOverLanes(squares, lane, lane) / f32(WIDTH) - shift * shift, 0.0);
  return Moments(about + shift, inverseSqrt(variance + params.eps));
}

// The mean of the gradients of a row is taken away from each of them.
fn meanGradient(mean: f32) -> f32 {
  return mean;
}
