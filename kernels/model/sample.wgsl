// sample: a token is drawn from the likeliest ones that together have a share topP (nucleus sampling: Holtzman et al. 2020,
// arXiv 1904.09751). Tokens as likely as the last of them count too.
//
//   p[i] = exp((logits[i] - max logits) / temperature)
//
//   logits   [VOCAB]  f32  read
//   lengths  [1]      u32  read   tokens so far, which the draw depends on beside the seed
//   and what choose writes
//
// Grid: (1). For sums, lane i owns the logits i, i + WORKGROUP, ...; for the draw, CHUNK neighbours.
//
// Needs choose, lanes, ROWS, VOCAB, WORKGROUP.
struct Params {
  inverseTemperature: f32,
  topP: f32,
  seed: u32,
}

var<uniform> params: Params;
var<storage, read> logits: array<f32>;
var<storage, read> lengths: array<u32>;

const CHUNK = (VOCAB + WORKGROUP - 1u) / WORKGROUP;
const LOWEST = -3.4028234663852886e38;
// Bits of 1.0, which the likeliest token has.
const MOST_BITS = 0x3f800000u;

alias PerRow = array<f32, ROWS>;

var<workgroup> chunks: array<f32, WORKGROUP>;

// The likelihood of a token relative to the likeliest one; 0 below a bound.
fn likelihoodOf(token: u32, largest: f32, bound: f32) -> f32 {
  let p = exp((logits[token] - largest) * params.inverseTemperature);
  return select(0.0, p, p >= bound);
}

// The sum of the likelihoods that are not below a bound.
fn massFrom(bound: f32, largest: f32, lane: u32) -> f32 {
  var own = 0.0;
  for (var i = lane; i < VOCAB; i += WORKGROUP) {
    own += likelihoodOf(i, largest, bound);
  }
  return sumOverLanes(own, lane, lane);
}

// PCG (O'Neill 2014), as Jarzynski and Olano 2020 have it for GPUs.
fn hash(x: u32) -> u32 {
  let state = x * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var most = PerRow(LOWEST);
  var nans = 0.0;
  for (var i = lane; i < VOCAB; i += WORKGROUP) {
    most[0] = max(most[0], logits[i]);
    nans += select(0.0, 1.0, isNan(logits[i]));
  }
  let largest = maxOverLanes(most, lane, lane)[0];
  let hasNan = sumOverLanes(nans, lane, lane) > 0.0;

  // A binary search finds the largest bound whose mass is enough, by the bits of an f32: those of positive numbers are in
  // their order.
  let enough = params.topP * massFrom(0.0, largest, lane);
  var low = 0u;
  var high = MOST_BITS;
  for (var i = 0u; i < 30u; i++) {
    let middle = low + (high - low + 1u) / 2u;
    let isEnough = massFrom(bitcast<f32>(middle), largest, lane) >= enough;
    low = select(low, middle, isEnough);
    high = select(middle - 1u, high, isEnough);
  }
  let bound = bitcast<f32>(low);

  var own = 0.0;
  for (var i = lane * CHUNK; i < min(lane * CHUNK + CHUNK, VOCAB); i++) {
    own += likelihoodOf(i, largest, bound);
  }
  chunks[lane] = own;
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }

  var mass = 0.0;
  for (var i = 0u; i < WORKGROUP; i++) {
    mass += chunks[i];
  }
  let random = f32(hash(params.seed ^ hash(lengths[0])) >> 8u) / 16777216.0;
  let drawn = random * mass;

  // The last chunk, and of it the last token, with no more mass below it than was drawn.
  var below = 0.0;
  var chunk = 0u;
  var belowChunk = 0.0;
  for (var i = 0u; i < WORKGROUP; i++) {
    if (chunks[i] > 0.0 && below <= drawn) {
      chunk = i;
      belowChunk = below;
    }
    below += chunks[i];
  }
  var token = NOTHING;
  for (var i = chunk * CHUNK; i < min(chunk * CHUNK + CHUNK, VOCAB); i++) {
    let p = likelihoodOf(i, largest, bound);
    if (p > 0.0 && belowChunk <= drawn) {
      token = i;
    }
    belowChunk += p;
  }
  choose(select(token, NOTHING, hasNan));
}
