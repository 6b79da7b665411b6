// fma: registers are multiplied and added: the arithmetic where nothing moves.
//
//   seeds  [INVOCATIONS]  vec4f  read
//   sums   [INVOCATIONS]  vec4f  write
//
// Grid: (INVOCATIONS / WORKGROUP). An invocation does STEPS times ROUNDS rounds on two independent chains of vec4f, which few
// registers hold. Rounds are written out, as a software adapter pays more for a loop than for a multiply-add.
//
// Needs ROUNDS, STEPS, WORKGROUP.
var<storage, read> seeds: array<vec4f>;
var<storage, read_write> sums: array<vec4f>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  // Factors from memory, so that no compiler can fold the chains.
  let x = seeds[invocation.x];
  let y = x.yzwx;
  var a = x;
  var b = x + 1.0;
  for (var i = 0u; i < STEPS; i++) {
    /*unroll*/ for (var j = 0u; j < ROUNDS; j++) {
      a = fma(a, x, y);
      b = fma(b, x, y);
    }
  }
  sums[invocation.x] = a + b;
}
