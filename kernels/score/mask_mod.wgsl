// mask_mod: keys that a function of the caller does not let a query see are masked (FlexAttention: Dong et al. 2024, arXiv
// 2412.05496).

// variant everywhere: it is asked about each pair of a query and a key.
//
// Needs context, masked, score_at, isSeenAt.
fn withMaskMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
  return select(MASKED, s, isSeenAt(placeOf(row, context, column)));
}

// variant in_blocks: it is asked about pairs of tiles of which some are seen.
//
// Needs context, masked, score_at, seen_tiles, isSeenAt.
fn withMaskMod(s: f32, row: u32, context: Context, column: u32) -> f32 {
  if (isWholeTile) {
    return s;
  }
  return select(MASKED, s, isSeenAt(placeOf(row, context, column)));
}
