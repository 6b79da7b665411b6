// key_share: the sum of the weights of a row, which is below 1 where a sink takes its share.

// variant stored: as a state of a whole context, whose sums of values the weights have divided already.
//
//   states  [B, N, S]  SoftmaxState  write
//
// Needs state.
var<storage, read_write> states: array<SoftmaxState>;

fn storeKeyShare(row: u32, share: f32) {
  states[row] = SoftmaxState(0.0, share);
}

// variant none: it is not asked for.
fn storeKeyShare(row: u32, share: f32) {
}
