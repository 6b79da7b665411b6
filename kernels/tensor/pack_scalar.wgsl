// pack_scalar: one element of a head is loaded at a time. For head sizes that 4 does not divide.
alias Wide = f32;
alias WideUint = u32;
const PACK = 1u;

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a, b, sum);
}

fn largestOf(x: Wide) -> f32 {
  return abs(x);
}

// The integer of `size` bits that begins at a bit of the word.
fn integersFrom(word: i32, bit: u32, size: u32) -> i32 {
  return extractBits(word, bit, size);
}
