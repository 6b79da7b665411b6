// embed: the residual stream of new tokens, from their embeddings.
//
//   y[t, i] = scale w[tokens[t], i] + position(t, i)
//
//   tokens  [S]      u32  read
//   w       [rows, IN]    read   by weightsAt: all of the vocabulary, or a part of it
//   y       [S, IN]  f32  write
//   and what positionAt reads
//
// Grid: (blocks of packs). An invocation owns a pack.
struct Params {
  numTokens: u32,
  scale: f32,
  // The tokens of w: what is not among them is left to other dispatches.
  firstRow: u32,
  numRows: u32,
}

var<uniform> params: Params;
var<storage, read> tokens: array<u32>;
var<storage, read_write> y: array<Wide>;

const PACKS = IN / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let token = id.x / PACKS;
  let pack = id.x % PACKS;
  if (token >= params.numTokens) {
    return;
  }
  let row = tokens[token] - params.firstRow;
  if (row >= params.numRows) {
    return;
  }
  y[id.x] = params.scale * rowStep(row) * weightsAt(row, pack)[0] + positionAt(token, pack);
}
