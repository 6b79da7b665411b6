// scores: how well each query matches each key of its context.
//
//   s[row, c] = scale * sum_h q[row, h] k[c, h], and what scoreOf makes of it
//
//   lengths  [B]                          u32  read
//   q        [B, S, N, H]                 T    read   (or [B, N, S, H]: qStride)
//   k        [B, numKvHeads, capacity, H] T    read   ring (or [B, capacity, numKvHeads, H]: kvStride)
//   scores   [rows of the block, contextLen]  f32  write
//
// Grid: (column blocks, row tiles). An invocation owns a tile of ROWS rows by 4 columns; query head n reads KV head
// n / groupSize where it lies.
@group(0) @binding(2) var<storage, read> q: array<Pack>;
@group(0) @binding(3) var<storage, read> k: array<Pack>;
@group(0) @binding(4) var<storage, read_write> scores: array<f32>;

const PACKS = HEAD_DIM / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let tile = rowTileOf(params.firstTile + workgroupId.y);
  let context = contextOf(tile.batch);
  let firstColumn = workgroupId.x * WORKGROUP * 4u;

  var seen = vec2u(context.len, 0u);
  var visible: array<vec2u, ROWS>;
  var qBase: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, i);
    visible[i] = visibleColumns(context, tokenOf(row));
    seen = vec2u(min(seen.x, visible[i].x), max(seen.y, visible[i].y));
    qBase[i] = queryRow(tile.batch, headOf(row), tokenOf(row)) * PACKS;
  }

  // Softmax reads visible columns only: what no row of the tile sees is left alone, unless someone reads it.
  let isSeen = firstColumn < seen.y && firstColumn + WORKGROUP * 4u > seen.x;
  if (!isSeen && firstColumn >= params.filledLen) {
    return;
  }

  let columns = firstColumn + lane + WORKGROUP * vec4u(0u, 1u, 2u, 3u);
  var acc: array<vec4f, ROWS>;
  if (isSeen) {
    let inContext = min(columns, vec4u(context.len - 1u));
    let k0 = kvRow(tile.batch, tile.kvHead, slotOf(context, inContext.x)) * PACKS;
    let k1 = kvRow(tile.batch, tile.kvHead, slotOf(context, inContext.y)) * PACKS;
    let k2 = kvRow(tile.batch, tile.kvHead, slotOf(context, inContext.z)) * PACKS;
    let k3 = kvRow(tile.batch, tile.kvHead, slotOf(context, inContext.w)) * PACKS;
    for (var h = 0u; h < PACKS; h++) {
      let a = Wide(k[k0 + h]);
      let b = Wide(k[k1 + h]);
      let c = Wide(k[k2 + h]);
      let d = Wide(k[k3 + h]);
      for (var i = 0u; i < ROWS; i++) {
        let x = Wide(q[qBase[i] + h]);
        acc[i] += vec4f(inner(x, a), inner(x, b), inner(x, c), inner(x, d));
      }
    }
  }

  let end = max(context.len, params.filledLen);
  for (var i = 0u; i < tile.numRows; i++) {
    let row = rowOf(tile, i);
    let offset = scoresOffset(row);
    for (var j = 0u; j < 4u; j++) {
      let column = columns[j];
      if (column < end) {
        let isVisible = column >= visible[i].x && column < visible[i].y;
        scores[offset + column] = select(MASKED, scoreOf(acc[i][j], row, context, column), isVisible);
      }
    }
  }
}
