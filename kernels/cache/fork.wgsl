// fork: the tokens and the length of one sequence of a ring, copied to another.
//
//   rows     the heads of a part, [heads, capacity, H or VALUE_DIM]  T    write
//   lengths  [B]                                                     u32  read, write
//   and what `sourceAt` reads: the same buffer, or that of another part
//
// Grid: (blocks of elements). An invocation copies elements that are the grid's width apart.
struct Params {
  // First elements, and how many.
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
