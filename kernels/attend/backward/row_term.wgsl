// row_term: what a query row adds to the gradient of a number of its head.

// variant sink: the weight of the learned sink, which has no value, times D.
//
//   exp(sink - lse) D
//
// Needs masked, per_head, rowStates.
fn termOf(place: u32, head: u32) -> f32 {
  let state = rowStates[place];
  let weight = exp(perHead[head].y - state.lse);
  return select(weight * select(state.dot, 0.0, weight == 0.0), 0.0, isMasked(state.lse));
}

// variant slope: the sums of the row over all slices of the context.
//
//   distances  [slices, B, S, N]  f32  read  (or [slices, B, N, S])
//
// Needs params.
var<storage, read> distances: array<f32>;

fn termOf(place: u32, head: u32) -> f32 {
  var sum = 0.0;
  let count = arrayLength(&distances);
  for (var i = place; i < count; i += params.numRows) {
    sum += distances[i];
  }
  return sum;
}
