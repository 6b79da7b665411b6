// pack_scalar: one element of a head is loaded at a time. For head sizes that 4 does not divide.
alias Pack = T;
alias Wide = f32;
const PACK = 1u;

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a, b, sum);
}
