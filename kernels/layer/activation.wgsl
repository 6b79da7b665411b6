// activation: the activation function of a feed-forward layer, and its derivative.

// variant silu: x sigmoid(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415).
fn activation(x: f32) -> f32 {
  return x / (1.0 + exp(-x));
}

fn activationSlope(x: f32) -> f32 {
  let share = 1.0 / (1.0 + exp(-x));
  return share * fma(x, 1.0 - share, 1.0);
}

// variant gelu: x times the share of a normal distribution below x (Hendrycks and Gimpel 2016, arXiv 1606.08415).
//
// The error function is off by at most 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
fn shareBelow(x: f32) -> f32 {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / fma(0.3275911, z, 1.0);
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * series * exp(-z * z);
  return select(tail, 1.0 - tail, x > 0.0);
}

fn activation(x: f32) -> f32 {
  return x * shareBelow(x);
}

fn activationSlope(x: f32) -> f32 {
  return fma(x * 0.3989422804014327, exp(-0.5 * x * x), shareBelow(x));
}

// variant gelu_tanh: the approximation of GELU by a hyperbolic tangent, written as a sigmoid.
fn activation(x: f32) -> f32 {
  let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
  return x / (1.0 + exp(-z));
}

fn activationSlope(x: f32) -> f32 {
  let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
  let share = 1.0 / (1.0 + exp(-z));
  let slope = 1.5957691216057308 * fma(3.0 * 0.044715 * x, x, 1.0);
  return share * fma(x * (1.0 - share), slope, 1.0);
}
