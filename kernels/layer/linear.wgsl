// linear: a projection of each token, by a matrix whose rows are outputs.
//
//   y[t, r] = sum_i x[t, i] w[r, i] + b[r], x as it is or normalised
//
//   w  [PART_ROWS, IN]  Stored  read  by matrixAt: all rows, or a part of them
//   and what inputsAt, taken and biasOf read and put writes
//
// Grid: (blocks of rows, blocks of tokens). A workgroup is ROW_GROUPS x TOKEN_GROUPS groups of LANES invocations; a group owns
// ROWS rows of w and TOKENS tokens, so that a loaded weight serves every token and a loaded x every row, and its lanes share
// the sum over IN. An output is made of ROWS_PER_OUTPUT neighbouring rows. The INPUTS that rows multiply are the tokens and the
// vectors of their norm.
//
// Needs held_inputs, input, input_norm, lanes, output, pack, put, row_bias, weight_matrix, IN, INPUTS, LANES, LOAD_PACKS,
// NORM_VECTORS, OUTPUTS, PART_ROWS, ROWS, ROWS_PER_OUTPUT, ROW_GROUPS, TOKENS, TOKEN_GROUPS, TOKEN_LOADS, WORKGROUP.
struct Params {
  numTokens: u32,
  // The first row of w among all rows, of which one binding may hold a part.
  firstRow: u32,
  // Keeps a variance from 0, where tokens are normalised.
  eps: f32,
}

var<uniform> params: Params;

const PACKS = IN / PACK;
const LOADS = PACKS / LOAD_PACKS;

alias PerRow = array<f32, ROWS>;
alias Sums = array<PerRow, INPUTS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let lane = laneOf(invocation);
  let group = invocation / LANES;
  let ownRow = (workgroupId.x * ROW_GROUPS + group % ROW_GROUPS) * ROWS;
  let firstToken = (workgroupId.y * TOKEN_GROUPS + group / ROW_GROUPS) * TOKENS;

  let inputRow = params.firstRow + min(ownRow, PART_ROWS - 1u);

  /*unroll*/ for (var n = 0u; n < TOKEN_LOADS; n++) {
    beginRow(n, startOfInput(loadedToken(firstToken, n, invocation), inputRow));
  }

  var sums: Sums;
  for (var i = lane; i < LOADS; i += LANES) {
    var held = inputsAt(firstToken, inputRow, i, invocation);
    /*unroll*/ for (var v = 0u; v < NORM_VECTORS; v++) {
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        held[TOKENS + v][p] = normVectorAt(v, i * LOAD_PACKS + p);
      }
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      let weight = matrixAt(min(ownRow + r, PART_ROWS - 1u), i);
      /*unroll*/ for (var t = 0u; t < INPUTS; t++) {
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          sums[t][r] = addInner(held[t][p], weight[p], sums[t][r]);
        }
      }
    }
  }

  let moments = momentsOfTokens(invocation, lane);

  var scale: PerRow;
  var bias: PerRow;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    scale[r] = matrixStep(min(ownRow + r, PART_ROWS - 1u));
    bias[r] = biasOf(params.firstRow + min(ownRow + r, PART_ROWS - 1u));
  }
  // A loop that is not written out picks the token from the registers: compilers take longer over stores than over the rest.
  for (var t = 0u; t < TOKENS; t++) {
    var rows = PerRow();
    var ofToken = TokenMoments();
    /*unroll*/ for (var u = 0u; u < TOKENS; u++) {
      if (t == u) {
        rows = sums[u];
        ofToken = moments[u];
      }
    }
    rows = normalisedRows(rows, ofToken, &sums);
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      rows[r] = fma(sumOverLanes(rows[r], invocation, lane), scale[r], bias[r]);
    }
    if (lane == 0u && firstToken + t < params.numTokens) {
      /*unroll*/ for (var r = 0u; r < OUTPUTS; r++) {
        if (ownRow / ROWS_PER_OUTPUT + r < PART_ROWS / ROWS_PER_OUTPUT) {
          put(firstToken + t, (params.firstRow + ownRow) / ROWS_PER_OUTPUT + r, outputOf(rows, r));
        }
      }
    }
  }
}
