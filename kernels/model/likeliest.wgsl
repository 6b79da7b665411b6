// likeliest: the token of a row's largest logit; of equal ones the first comes first.
//
//   logits  [rows, VOCAB]  f32  read
//
// Lane i looks at the logits i, i + WORKGROUP, ...
//
// Needs VOCAB, WORKGROUP.
var<storage, read> logits: array<f32>;

// The token of a row in which a logit is NaN, so that the host finds out; also of a place without a token.
const NOTHING = 0xffffffffu;

struct Candidate {
  logit: f32,
  token: u32,
}

var<workgroup> candidates: array<Candidate, WORKGROUP>;

fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn isLikelier(a: Candidate, b: Candidate) -> bool {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

// NaN wins, which has no token; a token wins over none.
fn likelier(a: Candidate, b: Candidate) -> Candidate {
  let isB = !isNan(a.logit) &&
    (isNan(b.logit) || a.token == NOTHING || (b.token != NOTHING && isLikelier(b, a)));
  return Candidate(select(a.logit, b.logit, isB), select(a.token, b.token, isB));
}

// A token of the row, if it is less likely than another one, or there is no other.
fn candidateAfter(other: Candidate, row: u32, token: u32) -> Candidate {
  let logit = logits[row * VOCAB + token];
  let candidate = Candidate(logit, token);
  let isAfter = other.token == NOTHING || isLikelier(other, candidate);
  return Candidate(logit, select(NOTHING, token, isAfter && !isNan(logit)));
}

// The likeliest of the tokens that are less likely than another one, or of all if there is no other.
fn likeliestAfter(other: Candidate, row: u32, lane: u32) -> Candidate {
  var best = candidateAfter(other, row, min(lane, VOCAB - 1u));
  for (var i = lane + WORKGROUP; i < VOCAB; i += WORKGROUP) {
    best = likelier(best, candidateAfter(other, row, i));
  }
  // Others may still read what is overwritten.
  workgroupBarrier();
  candidates[lane] = best;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      candidates[lane] = likelier(candidates[lane], candidates[lane + stride]);
    }
  }
  workgroupBarrier();
  return candidates[0];
}
