// advance: the lengths of sequences grow by their new tokens, which every layer appends after it.
//
//   lengths  [B]  u32  read, write
//   counts   [B]  u32  write  new tokens of each sequence
//
// Grid: (blocks of sequences). An invocation owns a sequence.
//
// Needs COUNT_VECTORS, WORKGROUP.
struct Params {
  batch: u32,
  // Four to a vector.
  counts: array<vec4u, COUNT_VECTORS>,
}

var<uniform> params: Params;
var<storage, read_write> lengths: array<u32>;
var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let batch = invocation.x;
  if (batch < params.batch) {
    counts[batch] = params.counts[batch / 4u][batch % 4u];
    lengths[batch] += counts[batch];
  }
}
