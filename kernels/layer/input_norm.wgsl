// input_norm: the norm of a projection's tokens, by sums over each row that are taken beside its products.
//
//   y[t, r] = rstd sum_i (x[t, i] - shift) g[i] w[r, i] - rstd (mean - shift) sum_i g[i] w[r, i] + sum_i b[i] w[r, i]
//
// The scale of a row commutes with its products, so that no pass through the row has to come before them. What the rows of the
// matrix multiply beside the tokens are NORM_VECTORS vectors, which no token changes: the gain where a mean is taken away, and
// the bias where there is one. An invocation takes the sums of the TOKEN_LOADS tokens that it loads.

// variant none: tokens are multiplied as they are.
//
// Needs pack, PerRow, Sums, TOKENS.
fn beginRow(n: u32, first: u32) {
}

fn taken(x: Wide, pack: u32, n: u32) -> Wide {
  return x;
}

fn normVectorAt(v: u32, pack: u32) -> Wide {
  return Wide(0.0);
}

alias TokenMoments = u32;

fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
  return array<TokenMoments, TOKENS>();
}

fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
  return own;
}

// variant rms: the root mean square is the scale (RMSNorm: Zhang and Sennrich 2019, arXiv 1910.07467).
//
// Needs gain, held_inputs, lanes, norm_bias, pack, BIAS_VECTORS, IN, PerRow, ROWS, Sums, TOKENS, TOKEN_LOADS, params.
var<private> squares: array<f32, TOKEN_LOADS>;

fn beginRow(n: u32, first: u32) {
}

fn taken(x: Wide, pack: u32, n: u32) -> Wide {
  squares[n] = addInner(x, x, squares[n]);
  return x * gainAt(pack);
}

fn normVectorAt(v: u32, pack: u32) -> Wide {
  return normBiasAt(pack);
}

// It is 1 / root mean square.
alias TokenMoments = f32;

fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
  var loaded: array<TokenMoments, TOKEN_LOADS>;
  /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
    loaded[n] = inverseSqrt(sumOverLanes(squares[n], invocation, lane) / f32(IN) + params.eps);
  }
  return ofTokens(loaded);
}

fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
  var rows = own;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    rows[r] *= moments;
    /*unroll*/ for (var v = 0u; v < BIAS_VECTORS; v++) {
      rows[r] += (*sums)[TOKENS + v][r];
    }
  }
  return rows;
}

// variant layer: the mean is the shift, and the deviation the scale (LayerNorm: Ba et al. 2016, arXiv 1607.06450).
//
// Sums are taken about an average of few elements: near enough to the mean that no difference of large numbers loses a small
// deviation, and known before the row has been read.
//
// Needs gain, held_inputs, lanes, norm_bias, pack, stored_pack, BIAS_VECTORS, IN, PACKS, PerRow, ROWS, Sums, TOKENS, TOKEN_LOADS,
// params, x.
var<private> shifts: array<f32, TOKEN_LOADS>;
var<private> rests: array<f32, TOKEN_LOADS>;
var<private> squares: array<f32, TOKEN_LOADS>;

fn beginRow(n: u32, first: u32) {
  let some = (packOf(x[first]) + packOf(x[first + PACKS / 4u])) +
    (packOf(x[first + PACKS / 2u]) + packOf(x[first + PACKS * 3u / 4u]));
  shifts[n] = addInner(some, Wide(0.25 / f32(PACK)), 0.0);
}

fn taken(x: Wide, pack: u32, n: u32) -> Wide {
  let difference = x - shifts[n];
  rests[n] = addInner(difference, Wide(1.0), rests[n]);
  squares[n] = addInner(difference, difference, squares[n]);
  return difference * gainAt(pack);
}

// The gain comes first.
fn normVectorAt(v: u32, pack: u32) -> Wide {
  if (v == 0u) {
    return gainAt(pack);
  }
  return normBiasAt(pack);
}

// They are the mean about the shift, and 1 / deviation.
alias TokenMoments = vec2f;

fn momentsOfTokens(invocation: u32, lane: u32) -> array<TokenMoments, TOKENS> {
  var loaded: array<TokenMoments, TOKEN_LOADS>;
  /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
    let mean = sumOverLanes(rests[n], invocation, lane) / f32(IN);
    let variance = sumOverLanes(squares[n], invocation, lane) / f32(IN) - mean * mean;
    loaded[n] = TokenMoments(mean, inverseSqrt(max(variance, 0.0) + params.eps));
  }
  return ofTokens(loaded);
}

fn normalisedRows(own: PerRow, moments: TokenMoments, sums: ptr<function, Sums>) -> PerRow {
  var rows = own;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    rows[r] = fma(-moments.x, (*sums)[TOKENS][r], rows[r]) * moments.y;
    /*unroll*/ for (var v = 0u; v < BIAS_VECTORS; v++) {
      rows[r] += (*sums)[TOKENS + 1u + v][r];
    }
  }
  return rows;
}
