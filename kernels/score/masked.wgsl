// masked: the score of a key that a query must not see. It stands for minus infinity, which WGSL cannot write.
const MASKED = -3.4028234663852886e38;
const MASKED_BITS = 0xff7fffffu;

// Whether a score is MASKED or minus infinity: by its bits, as compilers may let a comparison with NaN be either.
fn isMasked(score: f32) -> bool {
  return bitcast<u32>(score) - MASKED_BITS <= 1u;
}
