// distances: the sum of a row by which the gradient of its head's slope of ALiBi is made.
//
//   sum over c of |position of the query - position of key c| ds[c]

// variant none: nobody asks for the gradient of slopes.
//
// Needs context.
fn atDistance(dScore: f32, row: u32, context: Context, column: u32) -> f32 {
  return 0.0;
}

fn storeDistances(place: u32, own: f32, invocation: u32, lane: u32, isRow: bool) {
}

// variant summed: the sum of each row is kept.
//
//   distances  [slices, B, S, N]  f32  write  (or [slices, B, N, S])
//
// Needs context, distance, lanes.
var<storage, read_write> distances: array<f32>;

fn atDistance(dScore: f32, row: u32, context: Context, column: u32) -> f32 {
  return distanceOf(row, context, column) * dScore;
}

fn storeDistances(place: u32, own: f32, invocation: u32, lane: u32, isRow: bool) {
  let sum = sumOverLanes(own, invocation, lane);
  if (isRow && lane == 0u) {
    distances[place] = sum;
  }
}
