// embed: the embeddings of new tokens are the residual stream that enters the first layer.
//
//   y[t, i] = scale w[token(t), i] + position(t, i)
//
//   w  [rows, IN]  Stored  read   by matrixAt: all of the vocabulary, or a part of it
//   y  [S, IN]     f32     write
//   and what tokenIdOf and positionAt read
//
// Grid: (blocks of packs). An invocation owns a pack.
//
// Needs pack, position, token_id, weight_matrix, IN, WORKGROUP.
struct Params {
  numTokens: u32,
  scale: f32,
  // The tokens of w: other dispatches have the others.
  firstRow: u32,
  numRows: u32,
}

var<uniform> params: Params;
var<storage, read_write> y: array<Wide>;

const PACKS = IN / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x / PACKS;
  let pack = id.x % PACKS;
  if (token >= params.numTokens) {
    return;
  }
  let row = tokenIdOf(token) - params.firstRow;
  if (row >= params.numRows) {
    return;
  }
  y[id.x] = params.scale * matrixStep(row) * matrixAt(row, pack)[0] + positionAt(token, pack);
}
