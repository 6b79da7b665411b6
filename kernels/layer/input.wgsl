// input: the place in x of the numbers that a row of a projection multiplies.

// variant token: every row multiplies a whole token.
//
// Needs PACKS.
fn startOfInput(token: u32, row: u32) -> u32 {
  return token * PACKS;
}

// variant head: each HEAD_ROWS rows multiply a head of their own, of HEADS.
//
// Needs HEADS, HEAD_ROWS, PACKS.
fn startOfInput(token: u32, row: u32) -> u32 {
  return (token * HEADS + row / HEAD_ROWS) * PACKS;
}
