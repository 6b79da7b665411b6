// rope_queries: queries take the positions of their tokens, in place.
//
//   x  [B, S, N, H]  T  read, write   (or [B, N, S, H], or end to end [tokens, N, H])
//
// Grid: (blocks of pairs, batch); tokens that lie end to end are one batch. An invocation owns pairs, the grid's width apart.
//
// Needs query_positions, rope, HEAD_DIM, ROPE_DIMS, ROPE_PARTNER, T, WORKGROUP.
struct Params {
  // Rows of H from one batch, head and token to the next.
  stride: vec3u,
  numHeads: u32,
  seqLen: u32,
}

var<uniform> params: Params;
var<storage, read_write> x: array<T>;

const PAIRS = ROPE_DIMS / 2u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let batch = workgroupId.y;
  let count = numQueriesOf(batch) * params.numHeads * PAIRS;
  for (var i = workgroupId.x * WORKGROUP + lane; i < count; i += numWorkgroups.x * WORKGROUP) {
    let pair = i % PAIRS;
    let head = i / PAIRS % params.numHeads;
    let token = i / PAIRS / params.numHeads;
    let first = dot(vec3u(batch, head, token), params.stride) * HEAD_DIM + firstOfPair(pair);
    let second = first + ROPE_PARTNER;
    let a = f32(x[first]);
    let b = f32(x[second]);
    let rope = ropeOf(positionOf(batch, token), pair);
    x[first] = T(a * rope.x - b * rope.y);
    x[second] = T(b * rope.x + a * rope.y);
  }
}
