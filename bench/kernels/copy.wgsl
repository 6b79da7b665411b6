// copy: every element is read once and written once: the bandwidth where nothing is computed.
//
//   source   [INVOCATIONS * PER_INVOCATION]  vec4f  read
//   target_  [INVOCATIONS * PER_INVOCATION]  vec4f  write
//
// Grid: (INVOCATIONS / WORKGROUP). An invocation owns PER_INVOCATION elements, STEP apart, from INVOCATION_STEP times
// its index: neighbours side by side (as GPUs want it) or each a run of its own (as software adapters do).
//
// Needs INVOCATION_STEP, PER_INVOCATION, STEP, WORKGROUP.
var<storage, read> source: array<vec4f>;
var<storage, read_write> target_: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let first = invocation.x * INVOCATION_STEP;
  for (var i = 0u; i < PER_INVOCATION; i += 4u) {
    let a = source[first + i * STEP];
    let b = source[first + (i + 1u) * STEP];
    let c = source[first + (i + 2u) * STEP];
    let d = source[first + (i + 3u) * STEP];
    target_[first + i * STEP] = a;
    target_[first + (i + 1u) * STEP] = b;
    target_[first + (i + 2u) * STEP] = c;
    target_[first + (i + 3u) * STEP] = d;
  }
}
