// alibi: a score falls with the distance between query and key, in each head by its own slope (ALiBi: Press et al. 2021,
// arXiv 2108.12409).
//
//   s' = s - slope |position of the query - position of the key|
//
// Needs context, distance, params, per_head.
fn withAlibi(s: f32, row: u32, context: Context, column: u32) -> f32 {
  return s - perHead[headOf(row)].x * distanceOf(row, context, column);
}
