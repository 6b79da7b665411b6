// activation_gelu_tanh: the approximation of GELU by a hyperbolic tangent, written as a sigmoid.
fn activation(x: f32) -> f32 {
  let z = 1.5957691216057308 * fma(0.044715 * x * x, x, x);
  return x / (1.0 + exp(-z));
}
