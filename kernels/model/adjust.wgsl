// adjust: the logits that tokens are chosen by, where sequences have penalties and biases.
//
//   penalised(x) = x > 0 ? x / repetitionPenalty : x * repetitionPenalty    of tokens that the sequence has (CTRL: Keskar et
//                                                                           al. 2019, arXiv 1909.05858)
//   adjusted[row, i] = penalised(logits[row, i]) - frequencyPenalty * generated[i] - presencePenalty * (generated[i] > 0)
//                      + biases[sequence, i]
//
//   logits    [rows, VOCAB]       f32  read
//   counts    [sequences, VOCAB]  u32  read  how often a token was generated, and IN_PROMPT
//   biases    [sequences, VOCAB]  f32  read
//   adjusted  [rows, VOCAB]       f32  write
//   and what sampling reads
//
// Grid: (blocks of tokens, rows). An invocation owns a token of a row.
//
// Needs sampling, token_counts, VOCAB, WORKGROUP.
var<storage, read> logits: array<f32>;
var<storage, read> counts: array<u32>;
var<storage, read> biases: array<f32>;
var<storage, read_write> adjusted: array<f32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x;
  let sequence = rowSequences[id.y];
  if (token >= VOCAB || sequence == NO_SEQUENCE) {
    return;
  }
  let at = id.y * VOCAB + token;
  var logit = logits[at];
  let sampling = samplings[sequence];
  if (sampling.isAdjusted != 0u) {
    let count = counts[sequence * VOCAB + token];
    let generated = f32(count & ~IN_PROMPT);
    let penalty = sampling.repetitionPenalty;
    let penalised = select(logit * penalty, logit / penalty, logit > 0.0);
    logit = select(logit, penalised, count > 0u)
      - sampling.frequencyPenalty * generated
      - select(0.0, sampling.presencePenalty, generated > 0.0)
      + biases[sequence * VOCAB + token];
  }
  adjusted[at] = logit;
}
