// logprobs: log-probabilities of the chosen token and of the likeliest ones, by the logits as the model gives them.
//
//   logprob(i) = logits[i] - max logits - log sum_j exp(logits[j] - max logits)
//
//   lengths   [sequences]                     u32  read   tokens so far: the position of the chosen one
//   tokens    [sequences]                     u32  read
//   logprobs  [sequences, kept, LOGPROBS, 2]  f32  write  token and log-probability of the chosen one, then of the likeliest
//   and what likeliest and sampling read
//
// Grid: (rows). A workgroup owns a row.
//
// Needs likeliest, sampling, LOGPROBS, VOCAB, WORKGROUP, logits, params.
var<storage, read> lengths: array<u32>;
var<storage, read> tokens: array<u32>;
var<storage, read_write> logprobs: array<vec2f>;

var<workgroup> sums: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
  let row = id.x;
  let sequence = rowSequences[row];
  if (sequence == NO_SEQUENCE || samplings[sequence].logprobs == 0u) {
    return;
  }
  var candidate = likeliestAfter(Candidate(0.0, NOTHING), row, lane);
  let largest = candidate.logit;
  var own = 0.0;
  for (var i = lane; i < VOCAB; i += WORKGROUP) {
    own += exp(logits[row * VOCAB + i] - largest);
  }
  sums[lane] = own;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      sums[lane] += sums[lane + stride];
    }
  }
  workgroupBarrier();
  let logSum = log(sums[0]);

  let first = (sequence * params.kept + lengths[sequence] % params.kept) * LOGPROBS;
  if (lane == 0u) {
    let token = tokens[sequence];
    let logit = logits[row * VOCAB + min(token, VOCAB - 1u)];
    logprobs[first] = vec2f(f32(token), logit - largest - logSum);
  }
  for (var i = 1u; i < samplings[sequence].logprobs; i++) {
    if (lane == 0u) {
      logprobs[first + i] = vec2f(f32(candidate.token), candidate.logit - largest - logSum);
    }
    candidate = likeliestAfter(candidate, row, lane);
  }
}
