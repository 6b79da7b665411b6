// clip: the norm of all gradients, and the factor that makes it as large as is allowed (Pascanu et al. 2013, arXiv 1211.5063).
//
//   norm = sqrt(sum parts)    clip = min(1, most / norm)
//
//   parts     [count]  f32         read
//   clipping  [1]      norm, clip  write
//
// Grid: (1). Lane i owns the parts i, i + LANES, ...
//
// Needs lanes, LANES, ROWS, WORKGROUP.
struct Params {
  count: u32,
  most: f32,
}

var<uniform> params: Params;
var<storage, read> parts: array<f32>;
var<storage, read_write> clipping: array<vec2f>;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) lane: u32) {
  var sum = 0.0;
  for (var i = lane; i < params.count; i += LANES) {
    sum += parts[i];
  }
  let norm = sqrt(sumOverLanes(sum, lane, lane));
  if (lane == 0u) {
    clipping[0] = vec2f(norm, select(1.0, params.most / norm, norm > params.most));
  }
}
