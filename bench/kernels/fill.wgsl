// fill: a tensor gets numbers in [-1, 1) that the host can compute again, element by element.
//
//   x[i] = hash(i + first) / 2^23 - 1
//
//   x  [count]  T  write
//
// Grid: (blocks of elements). An invocation owns elements the grid's width apart.
//
// Needs T, WORKGROUP.
struct Params {
  count: u32,
  first: u32,
}

var<uniform> params: Params;
var<storage, read_write> x: array<T>;

// PCG (O'Neill 2014), the permutation as a hash (Jarzynski and Olano 2020).
fn hash(seed: u32) -> u32 {
  let state = seed * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(global_invocation_id) invocation: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
) {
  for (var i = invocation.x; i < params.count; i += numWorkgroups.x * WORKGROUP) {
    x[i] = T(f32(hash(i + params.first) >> 8u) / 8388608.0 - 1.0);
  }
}
