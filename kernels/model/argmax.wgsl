// argmax: the likeliest token of each row is chosen, for sequences that take it.
//
//   what likeliest, sampling and choose read and write
//
// Grid: (rows). A workgroup owns a row.
//
// Needs choose, likeliest, sampling, WORKGROUP.
@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
  let sequence = rowSequences[id.x];
  if (sequence == NO_SEQUENCE || !isGreedy(sequence)) {
    return;
  }
  let likeliest = likeliestAfter(Candidate(0.0, NOTHING), id.x, lane);
  if (lane == 0u) {
    choose(sequence, likeliest.token);
  }
}
