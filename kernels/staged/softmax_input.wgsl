// softmax_input: the scores that softmax reads.

// variant apart: a buffer of their own, which the caller reads as well.
//
//   scores  [rows of the block, contextLen]  f32  read
var<storage, read> scores: array<f32>;

fn scoreAt(index: u32) -> f32 {
  return scores[index];
}

// variant in_place: the buffer of the weights, which overwrite them.
//
// Needs weights.
fn scoreAt(index: u32) -> f32 {
  return weights[index];
}
