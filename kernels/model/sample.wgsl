// sample: a token is drawn from the likeliest ones of each row, for sequences that draw.
//
//   p[i] = exp((logits[i] - max logits) / temperature)
//
// Drawn from are, of the topK likeliest tokens, the likeliest that together have a share topP of these (nucleus sampling:
// Holtzman et al. 2020, arXiv 1904.09751), and of them those with p of minP or more. Tokens as likely as the last that
// counts count too.
//
//   what likeliest, sampling and choose read and write
//
// Grid: (rows). A workgroup owns a row. For sums, lane i owns the logits i, i + WORKGROUP, ...; for the draw, CHUNK neighbours.
//
// Needs choose, likeliest, sampling, VOCAB, WORKGROUP, lengths, logits.
const CHUNK = (VOCAB + WORKGROUP - 1u) / WORKGROUP;

var<workgroup> sums: array<vec3f, WORKGROUP>;
var<workgroup> chunks: array<f32, WORKGROUP>;

// The likelihood of a token relative to the likeliest one.
fn likelihoodOf(row: u32, token: u32, largest: f32, inverseTemperature: f32) -> f32 {
  let logit = logits[row * VOCAB + token];
  return select(exp((logit - largest) * inverseTemperature), 1.0, logit == largest);
}

fn sumOf(own: vec3f, lane: u32) -> vec3f {
  // Others may still read what is overwritten.
  workgroupBarrier();
  sums[lane] = own;
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      sums[lane] += sums[lane + stride];
    }
  }
  workgroupBarrier();
  return sums[0];
}

// The number or the likelihood of the tokens that are not below each of three bounds.
fn measureFrom(
  bounds: vec3f,
  isCounted: bool,
  row: u32,
  largest: f32,
  inverseTemperature: f32,
  lane: u32,
) -> vec3f {
  var own = vec3f();
  for (var i = lane; i < VOCAB; i += WORKGROUP) {
    let p = likelihoodOf(row, i, largest, inverseTemperature);
    own += select(vec3f(), vec3f(select(p, 1.0, isCounted)), vec3f(p) >= bounds);
  }
  return sumOf(own, lane);
}

// The largest bound whose tokens are enough. A search for its bits, two at a time: those of positive f32
// are in the order of the numbers.
fn boundOf(
  enough: f32,
  isCounted: bool,
  row: u32,
  largest: f32,
  inverseTemperature: f32,
  lane: u32,
) -> f32 {
  var bits = 0u;
  for (var i = 0u; i < 15u; i++) {
    let shift = 28u - 2u * i;
    let bounds = bitcast<vec3f>(vec3u(bits) + (vec3u(1u, 2u, 3u) << vec3u(shift)));
    let measure = measureFrom(bounds, isCounted, row, largest, inverseTemperature, lane);
    let isEnough = select(vec3u(), vec3u(1u), measure >= vec3f(enough));
    bits += (isEnough.x + isEnough.y + isEnough.z) << shift;
  }
  return bitcast<f32>(bits);
}

// PCG (O'Neill 2014), as Jarzynski and Olano 2020 have it for GPUs.
fn hash(x: u32) -> u32 {
  let state = x * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32, @builtin(workgroup_id) id: vec3u) {
  let row = id.x;
  let sequence = rowSequences[row];
  if (sequence == NO_SEQUENCE || isGreedy(sequence)) {
    return;
  }
  let sampling = samplings[sequence];
  let factor = sampling.inverseTemperature;
  let likeliest = likeliestAfter(Candidate(0.0, NOTHING), row, lane);
  let largest = likeliest.logit;

  var bound = 0.0;
  if (sampling.topK > 0u) {
    bound = boundOf(f32(sampling.topK), true, row, largest, factor, lane);
  }
  if (sampling.topP < 1.0) {
    let mass = measureFrom(vec3f(bound), false, row, largest, factor, lane).x;
    bound = boundOf(sampling.topP * mass, false, row, largest, factor, lane);
  }
  bound = max(bound, sampling.minP);

  var own = 0.0;
  for (var i = lane * CHUNK; i < min(lane * CHUNK + CHUNK, VOCAB); i++) {
    let p = likelihoodOf(row, i, largest, factor);
    own += select(0.0, p, p >= bound);
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
  // Which depends on the seed and the position alone.
  let random = f32(hash(sampling.seed ^ hash(lengths[sequence])) >> 8u) / 16777216.0;
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
    let p = likelihoodOf(row, i, largest, factor);
    if (p > 0.0 && p >= bound && belowChunk <= drawn) {
      token = i;
    }
    belowChunk += select(0.0, p, p >= bound);
  }
  choose(sequence, select(token, NOTHING, likeliest.token == NOTHING));
}
