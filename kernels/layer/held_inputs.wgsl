// held_inputs: the LOAD_PACKS packs of x that each of a tile's tokens has from load i on.

// variant own: lanes share the sum over IN, and each loads what it adds up.
//
//   x  [tokens, IN]  f32  read  (or [tokens, heads, IN], by startOfInput)
//
// Needs input, pack, LANES, LOAD_PACKS, TOKENS, params.
var<storage, read> x: array<Wide>;

fn laneOf(invocation: u32) -> u32 {
  return invocation % LANES;
}

fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, TOKENS> {
  var held: array<array<Wide, LOAD_PACKS>, TOKENS>;
  /*unroll*/ for (var t = 0u; t < TOKENS; t++) {
    let first = startOfInput(min(firstToken + t, params.numTokens - 1u), row) + i * LOAD_PACKS;
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      held[t][p] = x[first + p];
    }
  }
  return held;
}

// variant broadcast: a workgroup is a subgroup, or a part of one, whose invocations have the same tokens and rows of their own:
// each loads TOKEN_LOADS of the tokens and broadcasts them.
//
//   x  [tokens, IN]  f32  read
//
// Needs input, pack, LOAD_PACKS, TOKENS, TOKEN_LOADS, WORKGROUP, params.
var<storage, read> x: array<Wide>;

// A constant tells compilers that all lanes broadcast at once.
fn laneOf(invocation: u32) -> u32 {
  return 0u;
}

fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, TOKENS> {
  var held: array<array<Wide, LOAD_PACKS>, TOKENS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    var own: array<Wide, TOKEN_LOADS>;
    /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
      let token = min(firstToken + n * WORKGROUP + invocation, params.numTokens - 1u);
      own[n] = x[startOfInput(token, row) + i * LOAD_PACKS + p];
    }
    /*unroll*/ for (var t = 0u; t < TOKENS; t++) {
      held[t][p] = subgroupBroadcast(own[t / WORKGROUP], t % WORKGROUP);
    }
  }
  return held;
}
