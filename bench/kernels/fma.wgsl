// fma: multiply-adds on registers; what arithmetic is when nothing moves.
//
//   seeds  [INVOCATIONS]  vec4f  read
//   sums   [INVOCATIONS]  vec4f  write
//
// Grid: (INVOCATIONS / WORKGROUP). An invocation does STEPS rounds on eight independent chains of vec4f.
@group(0) @binding(0) var<storage, read> seeds: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  // Factors from memory, so that no compiler can fold the chains.
  let x = seeds[invocation.x];
  let y = x.yzwx;
  var a = x;
  var b = x + 1.0;
  var c = x + 2.0;
  var d = x + 3.0;
  var e = x + 4.0;
  var f = x + 5.0;
  var g = x + 6.0;
  var h = x + 7.0;
  for (var i = 0u; i < STEPS; i++) {
    a = fma(a, x, y);
    b = fma(b, x, y);
    c = fma(c, x, y);
    d = fma(d, x, y);
    e = fma(e, x, y);
    f = fma(f, x, y);
    g = fma(g, x, y);
    h = fma(h, x, y);
  }
  sums[invocation.x] = ((a + b) + (c + d)) + ((e + f) + (g + h));
}
