// pair: the weight of one key in one query row, and the gradients of what lies between them.
struct PairGradient {
  // w
  weight: f32,
  // ds, by the score that softmax reads, or that a function of the caller gets.
  score: f32,
  // dp, by the product of query and key.
  product: f32,
}
