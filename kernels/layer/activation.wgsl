// activation: the activation function of a feed-forward layer, and its derivative, of a number or of each in a pack.

// variant silu: x sigmoid(x) (Hendrycks and Gimpel 2016, arXiv 1606.08415).
//
// Needs Activated.
fn activation(x: Activated) -> Activated {
  return x / (1.0 + exp(-x));
}

fn activationSlope(x: Activated) -> Activated {
  let share = 1.0 / (1.0 + exp(-x));
  return share * fma(x, 1.0 - share, Activated(1.0));
}

// variant gelu: x times the share of a normal distribution below x (Hendrycks and Gimpel 2016, arXiv 1606.08415).
//
// The error function is off by at most 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26).
//
// Needs Activated.
fn shareBelow(x: Activated) -> Activated {
  let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / fma(Activated(0.3275911), z, Activated(1.0));
  let series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let tail = 0.5 * series * exp(-z * z);
  return select(tail, 1.0 - tail, x > Activated(0.0));
}

fn activation(x: Activated) -> Activated {
  return x * shareBelow(x);
}

fn activationSlope(x: Activated) -> Activated {
  return fma(x * 0.3989422804014327, exp(-0.5 * x * x), shareBelow(x));
}

// variant gelu_tanh: the approximation of GELU by a hyperbolic tangent, written as a sigmoid.
//
// Needs Activated.
fn activation(x: Activated) -> Activated {
  let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
  return x / (1.0 + exp(-z));
}

fn activationSlope(x: Activated) -> Activated {
  let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
  let share = 1.0 / (1.0 + exp(-z));
  let slope = 1.5957691216057308 * fma(3.0 * 0.044715 * x, x, Activated(1.0));
  return share * fma(x * (1.0 - share), slope, Activated(1.0));
}
