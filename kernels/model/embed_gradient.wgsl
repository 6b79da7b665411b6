// embed_gradient: the gradient of a loss by the embeddings. A row sums over the places of its own token in an order that the
// host sorted, so that no two invocations add to one number.
//
//   dw[v, i] += scale sum_p dy[order[p], i], over p from starts[v] to starts[v + 1]
//
//   starts  [rows + 1]  u32  read
//   order   [S]         u32  read: places of tokens, sorted by token
//   dy      [S, IN]     f32  read
//   and what putPack writes
//
// Grid: (blocks of packs, lines of blocks). An invocation owns a pack of a row.
//
// Needs pack, put_pack, stored_pack, IN, WORKGROUP.
struct Params {
  numRows: u32,
  scale: f32,
}

var<uniform> params: Params;
var<storage, read> starts: array<u32>;
var<storage, read> order: array<u32>;
var<storage, read> dy: array<StoredPack>;

const PACKS = IN / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let i = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + invocation;
  let row = i / PACKS;
  let pack = i % PACKS;
  if (row >= params.numRows) {
    return;
  }
  var sum = Wide();
  for (var place = starts[row]; place < starts[row + 1u]; place++) {
    sum += packOf(dy[order[place] * PACKS + pack]);
  }
  putPack(row, pack, params.scale * sum);
}
