// score_at: the place of a score, as the functions of callers get it: positions in the sequence, which do not change when a
// ring wraps.
//
// A query may lie before or after all tokens of its sequence.
//
// Needs context, params.
struct ScoreAt {
  batch: u32,
  head: u32,
  query: i32,
  key: i32,
}

fn placeOf(row: u32, context: Context, column: u32) -> ScoreAt {
  return placeOfPair(headOf(row), tokenOf(row), context, column);
}

fn placeOfPair(head: u32, token: u32, context: Context, column: u32) -> ScoreAt {
  let key = i32(tokenAt(context, column));
  return ScoreAt(context.sequence, head, queryPosition(context, token), key);
}
