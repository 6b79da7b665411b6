// put_query: a query is normalised, and written to q.

// variant plain: it has no position.
//
// Needs norm_heads, LANES, WIDTH, q.
fn putQuery(first: u32, rstd: f32, sequence: u32, token: u32, lane: u32) {
  for (var h = lane; h < WIDTH; h += LANES) {
    q[first + h] = projectedQ[first + h] * rstd * qGain[h];
  }
}

// variant rotated: it takes the position that its token will have.
//
// Needs norm_heads, rope, token_positions, LANES, ROPE_DIMS, ROPE_FIRST, ROPE_PARTNER, WIDTH, q.
fn putQuery(first: u32, rstd: f32, sequence: u32, token: u32, lane: u32) {
  let position = positionOfToken(sequence, token);
  for (var pair = lane; pair < ROPE_DIMS / 2u; pair += LANES) {
    let i = firstOfPair(pair);
    let a = projectedQ[first + i] * rstd * qGain[i];
    let b = projectedQ[first + i + ROPE_PARTNER] * rstd * qGain[i + ROPE_PARTNER];
    let rope = ropeOf(position, pair);
    q[first + i] = a * rope.x - b * rope.y;
    q[first + i + ROPE_PARTNER] = b * rope.x + a * rope.y;
  }
  // What is not rotated lies before and behind the pairs.
  for (var other = lane; other < WIDTH - ROPE_DIMS; other += LANES) {
    let h = select(other + ROPE_DIMS, other, other < ROPE_FIRST);
    q[first + h] = projectedQ[first + h] * rstd * qGain[h];
  }
}
