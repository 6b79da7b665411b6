// squares: the sum of squares of a gradient, by chunks.
//
//   parts[first + c] = sum_i gradient[i]^2, over the i of chunk c
//
//   gradient  [elements]  f32  read
//   parts     [chunks]    f32  write: those of all gradients
//
// Grid: (chunks). A workgroup owns a chunk; lane i owns the elements i, i + LANES, ...
//
// Needs lanes, LANES, ROWS, WORKGROUP.
struct Params {
  length: u32,
  // Elements of a chunk, and the place of the first chunk among those of all gradients.
  chunk: u32,
  first: u32,
}

var<uniform> params: Params;
var<storage, read> gradient: array<f32>;
var<storage, read_write> parts: array<f32>;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = workgroupId.x * params.chunk;
  let end = min(first + params.chunk, params.length);
  var sum = 0.0;
  for (var i = first + lane; i < end; i += LANES) {
    sum = fma(gradient[i], gradient[i], sum);
  }
  let all = sumOverLanes(sum, lane, lane);
  if (lane == 0u) {
    parts[params.first + workgroupId.x] = all;
  }
}
