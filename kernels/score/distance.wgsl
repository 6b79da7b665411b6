// distance: the number of tokens between a query and a key.
//
// Needs context, params.
fn distanceOf(row: u32, context: Context, column: u32) -> f32 {
  return f32(abs(queryPosition(context, tokenOf(row)) - i32(tokenAt(context, column))));
}
