// pack_scalar: one element of a head is loaded at a time. For head sizes that 4 does not divide.
alias Pack = T;
alias Wide = f32;
alias WideInt = i32;
alias WideUint = u32;
const PACK = 1u;
const WITHIN_PACK = 0u;

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a, b, sum);
}

fn largestOf(x: Wide) -> f32 {
  return abs(x);
}
