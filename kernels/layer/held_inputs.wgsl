// held_inputs: the LOAD_PACKS packs of x that each of a tile's tokens has from load i on, as a norm takes them, and places for
// those of its vectors.

// variant own: lanes share the sum over IN, and each loads what it adds up, of TOKEN_LOADS = TOKENS tokens.
//
//   x  [tokens, IN]  f32  read  (or [tokens, heads, IN], by startOfInput)
//
// Needs input, input_norm, pack, stored_pack, INPUTS, LANES, LOAD_PACKS, TOKENS, TOKEN_LOADS, params.
var<storage, read> x: array<StoredPack>;

fn laneOf(invocation: u32) -> u32 {
  return invocation % LANES;
}

fn loadedToken(firstToken: u32, n: u32, invocation: u32) -> u32 {
  return min(firstToken + n, params.numTokens - 1u);
}

fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, INPUTS> {
  var held: array<array<Wide, LOAD_PACKS>, INPUTS>;
  /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
    let first = startOfInput(loadedToken(firstToken, n, invocation), row);
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      held[n][p] = taken(packOf(x[first + i * LOAD_PACKS + p]), i * LOAD_PACKS + p, n);
    }
  }
  return held;
}

fn ofTokens(loaded: array<TokenMoments, TOKEN_LOADS>) -> array<TokenMoments, TOKENS> {
  return loaded;
}

// variant broadcast: a workgroup is a subgroup, or a part of one, whose invocations have the same tokens and rows of their own:
// each loads TOKEN_LOADS of the tokens and broadcasts them.
//
//   x  [tokens, IN]  f32  read
//
// Needs input, input_norm, pack, stored_pack, INPUTS, LOAD_PACKS, TOKENS, TOKEN_LOADS, WORKGROUP, params.
var<storage, read> x: array<StoredPack>;

// A constant tells compilers that all lanes broadcast at once.
fn laneOf(invocation: u32) -> u32 {
  return 0u;
}

fn loadedToken(firstToken: u32, n: u32, invocation: u32) -> u32 {
  return min(firstToken + n * WORKGROUP + invocation, params.numTokens - 1u);
}

fn inputsAt(firstToken: u32, row: u32, i: u32, invocation: u32) -> array<array<Wide, LOAD_PACKS>, INPUTS> {
  var held: array<array<Wide, LOAD_PACKS>, INPUTS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    var own: array<Wide, TOKEN_LOADS>;
    /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
      let first = startOfInput(loadedToken(firstToken, n, invocation), row);
      own[n] = taken(packOf(x[first + i * LOAD_PACKS + p]), i * LOAD_PACKS + p, n);
    }
    /*unroll*/ for (var t = 0u; t < TOKENS; t++) {
      held[t][p] = subgroupBroadcast(own[t / WORKGROUP], t % WORKGROUP);
    }
  }
  return held;
}

fn ofTokens(loaded: array<TokenMoments, TOKEN_LOADS>) -> array<TokenMoments, TOKENS> {
  var all: array<TokenMoments, TOKENS>;
  /*unroll*/ for (var t = 0u; t < TOKENS; t++) {
    all[t] = subgroupBroadcast(loaded[t / WORKGROUP], t % WORKGROUP);
  }
  return all;
}
