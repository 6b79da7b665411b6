// score_mod: a score becomes what a function of the caller makes of it (FlexAttention: Dong et al. 2024, arXiv 2412.05496).
//
//   s' = modifiedScore(s, place of the score)
//
// The function masks a key by minus infinity or the lowest f32.

// variant alone: nothing has masked the score before.
//
// Needs context, masked, score_at, modifiedScore.
fn withScoreMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let modified = modifiedScore(s, placeOf(row, context, column));
  return select(modified, MASKED, isMasked(modified));
}

// variant after_bias: a score that a bias has masked stays masked.
//
// Needs context, masked, score_at, modifiedScore.
fn withScoreMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let modified = modifiedScore(s, placeOf(row, context, column));
  return select(modified, MASKED, bitcast<u32>(s) == MASKED_BITS || isMasked(modified));
}
