// loss: how far the distribution of each token is from its target, and the gradient by its logits.
//
//   p = softmax(logits / temperature)    loss[t] = T^2 sum_i q[i] (log q[i] - log p[i])    dlogits = weight T (p - q)
//
// The divergence from a target q (Kullback and Leibler 1951), which is the cross-entropy where q is one label; times T^2, so
// that the gradient keeps its size whatever the temperature (distillation: Hinton et al. 2015, arXiv 1503.02531).
//
//   logits  [tokens, WIDTH]  f32  read
//   losses  [tokens]         f32  write
//   and what targetOf reads and put writes
//
// Grid: (tokens, lines of tokens). A workgroup owns a token; lane i owns the logits i, i + LANES, ...
//
// Needs lanes, pack, put, row_packs, stored_pack, target, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numTokens: u32,
  temperature: f32,
  // What the gradient of a token counts: its share of the mean of all losses.
  weight: f32,
}

var<uniform> params: Params;
var<storage, read> logits: array<StoredPack>;
var<storage, read_write> losses: array<f32>;

const PACKS = WIDTH / PACK;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let token = workgroupId.y * numWorkgroups.x + workgroupId.x;
  if (token >= params.numTokens) {
    return;
  }
  let start = token * WIDTH;
  let invTemperature = 1.0 / params.temperature;

  holdRow(start, lane);
  holdTarget(token, lane);

  var most = PerRow();
  most[0] = packOf(logits[start]);
  for (var i = lane; i < WIDTH; i += LANES) {
    most[0] = max(most[0], rowPack(start, i));
  }
  let m = maxOverLanes(most, lane, lane)[0];
  var d = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    d += exp((rowPack(start, i) - m) * invTemperature);
  }
  let logD = log(sumOverLanes(d, lane, lane));

  let wanted = targetOf(token, lane);
  var sum = 0.0;
  for (var i = lane; i < WIDTH; i += LANES) {
    let logP = (rowPack(start, i) - m) * invTemperature - logD;
    let logQ = logTarget(wanted, token, i);
    let q = exp(logQ);
    sum += select(0.0, q * (logQ - logP), q > 0.0);
    put(token, i, params.weight * params.temperature * (exp(logP) - q));
  }
  let loss = params.temperature * params.temperature * sumOverLanes(sum, lane, lane);
  if (lane == 0u) {
    losses[token] = loss;
    // The distribution may have a gradient where its log has none left: no step must follow from it. Bits say so, as compilers
    // may let a comparison with NaN be either.
    if ((bitcast<u32>(loss) & 0x7fffffffu) >= 0x7f800000u) {
      put(token, 0u, loss);
    }
  }
}
