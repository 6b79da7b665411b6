// argmax: the token of the largest logit is chosen, of equal ones the first.
//
//   logits  [VOCAB]  f32  read
//   and what choose writes
//
// Grid: (1). Lane i owns the logits i, i + WORKGROUP, ...
//
// Needs choose, VOCAB, WORKGROUP.
var<storage, read> logits: array<f32>;

struct Candidate {
  logit: f32,
  token: u32,
}

var<workgroup> candidates: array<Candidate, WORKGROUP>;

fn better(a: Candidate, b: Candidate) -> Candidate {
  if (a.token == NOTHING || b.token == NOTHING) {
    return Candidate(0.0, NOTHING);
  }
  let isB = b.logit > a.logit || (b.logit == a.logit && b.token < a.token);
  return Candidate(select(a.logit, b.logit, isB), select(a.token, b.token, isB));
}

fn candidateOf(token: u32) -> Candidate {
  let logit = logits[token];
  return Candidate(logit, select(token, NOTHING, isNan(logit)));
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var best = candidateOf(min(lane, VOCAB - 1u));
  for (var i = lane + WORKGROUP; i < VOCAB; i += WORKGROUP) {
    best = better(best, candidateOf(i));
  }
  candidates[lane] = best;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      candidates[lane] = better(candidates[lane], candidates[lane + stride]);
    }
  }
  if (lane == 0u) {
    choose(candidates[0].token);
  }
}
