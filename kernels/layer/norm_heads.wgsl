// norm_heads: each query and each key is scaled to unit size, and queries take the positions of their tokens.
//
//   q[t, n] = rotation of (projectedQ[t, n] rstd qGain)    k[t, n] = projectedK[t, n] rstd kGain
//
//   projectedQ  [tokens, numHeads, WIDTH]    f32  read
//   projectedK  [tokens, numKvHeads, WIDTH]  f32  read
//   qGain       [WIDTH]                      f32  read
//   kGain       [WIDTH]                      f32  read
//   q           [tokens, numHeads, WIDTH]    f32  write
//   k           [tokens, numKvHeads, WIDTH]  f32  write
//   and what putQuery reads
//
// Grid: (heads, tokens of a sequence, sequences), the heads of queries first. A workgroup owns a head of tokens, the grid's width
// apart, as a division to find a token would take software longer than the rest; lane i owns the elements i, i + LANES, ...
//
// Needs lanes, put_query, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numHeads: u32,
  numKvHeads: u32,
  // New tokens of a sequence.
  seqLen: u32,
  // Keeps a variance from 0.
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> projectedQ: array<f32>;
var<storage, read> projectedK: array<f32>;
var<storage, read> qGain: array<f32>;
var<storage, read> kGain: array<f32>;
var<storage, read_write> q: array<f32>;
var<storage, read_write> k: array<f32>;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let isQuery = workgroupId.x < params.numHeads;
  for (var token = workgroupId.y; token < params.seqLen; token += numWorkgroups.y) {
    let row = workgroupId.z * params.seqLen + token;
    let queryRow = row * params.numHeads + workgroupId.x;
    let keyRow = row * params.numKvHeads + workgroupId.x - params.numHeads;
    let first = select(keyRow, queryRow, isQuery) * WIDTH;

    var squares = 0.0;
    for (var h = lane; h < WIDTH; h += LANES) {
      let x = projectedAt(isQuery, first + h);
      squares = fma(x, x, squares);
    }
    let rstd = inverseSqrt(sumOverLanes(squares, lane, lane) / f32(WIDTH) + params.eps);

    if (isQuery) {
      putQuery(first, rstd, workgroupId.z, token, lane);
    } else {
      for (var h = lane; h < WIDTH; h += LANES) {
        k[first + h] = projectedK[first + h] * rstd * kGain[h];
      }
    }
  }
}

fn projectedAt(isQuery: bool, i: u32) -> f32 {
  if (isQuery) {
    return projectedQ[i];
  }
  return projectedK[i];
}
