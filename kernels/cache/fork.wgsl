// fork: the tokens and the length of one sequence of a ring are copied over another.
//
//   rows     [heads of the part, capacity, H or VALUE_DIM]  T    write
//   lengths  [B]                                            u32  read, write
//
// Grid: (blocks of elements). An invocation owns elements, the grid's width apart.
//
// Needs fork_source, T, WORKGROUP.
struct Params {
  // First element of either sequence, and the number of elements.
  source: u32,
  destination: u32,
  count: u32,
  fromSequence: u32,
  toSequence: u32,
}

var<uniform> params: Params;
var<storage, read_write> lengths: array<u32>;
var<storage, read_write> rows: array<T>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) invocation: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
) {
  for (var i = invocation.x; i < params.count; i += numWorkgroups.x * WORKGROUP) {
    rows[params.destination + i] = sourceAt(params.source + i);
  }
  if (invocation.x == 0u) {
    lengths[params.toSequence] = lengths[params.fromSequence];
  }
}
