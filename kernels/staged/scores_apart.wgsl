// scores_apart: softmax leaves the scores as they are, for someone who reads them.
var<storage, read> scores: array<f32>;

fn scoreAt(index: u32) -> f32 {
  return scores[index];
}
