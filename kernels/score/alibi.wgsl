// score_alibi: scores fall with the distance between query and key, in each head by its own slope.
//
//   s' = s - slope |position of the query - position of the key|
fn withAlibi(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let distance = abs(queryPosition(context, tokenOf(row)) - i32(tokenAt(context, column)));
  return s - perHead[headOf(row)].x * f32(distance);
}
