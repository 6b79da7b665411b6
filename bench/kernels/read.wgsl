// read: every element is read once and added up: the bandwidth where hardly anything is written.
//
//   source  [INVOCATIONS * PER_INVOCATION]  vec4f  read
//   sums    [INVOCATIONS]                   vec4f  write
//
// Grid: as in copy.
//
// Needs INVOCATION_STEP, PER_INVOCATION, STEP, WORKGROUP.
var<storage, read> source: array<vec4f>;
var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let first = invocation.x * INVOCATION_STEP;
  var a = vec4f();
  var b = vec4f();
  var c = vec4f();
  var d = vec4f();
  for (var i = 0u; i < PER_INVOCATION; i += 4u) {
    a += source[first + i * STEP];
    b += source[first + (i + 1u) * STEP];
    c += source[first + (i + 2u) * STEP];
    d += source[first + (i + 3u) * STEP];
  }
  sums[invocation.x] = (a + b) + (c + d);
}
