// sampling: how the next token of each sequence is chosen.
//
//   rowSequences  [rows]       u32       read  the sequence whose next token a row of logits tells; NO_SEQUENCE: none
//   samplings     [sequences]  Sampling  read
struct Sampling {
  // 0 where the likeliest token is chosen.
  inverseTemperature: f32,
  topP: f32,
  minP: f32,
  // 0 where any number of tokens is drawn from.
  topK: u32,
  seed: u32,
  // Whether logits change before: by the penalties and by biases.
  isAdjusted: u32,
  repetitionPenalty: f32,
  frequencyPenalty: f32,
  presencePenalty: f32,
  // Places for log-probabilities of each token, its own and those of the likeliest ones.
  logprobs: u32,
}

var<storage, read> rowSequences: array<u32>;
var<storage, read> samplings: array<Sampling>;

const NO_SEQUENCE = 0xffffffffu;

fn isGreedy(sequence: u32) -> bool {
  return samplings[sequence].inverseTemperature == 0.0;
}
