// scores: the match of each query with each key of its context.
//
//   s[row, c] = scoreOf(shift[row] + sum_h q[row, h] k[c, h])
//
//   q        [B, S, N, H]                     T       read   (or [B, N, S, H]: qStride), by queryAt
//   k        [B, numKvHeads, capacity, H]     Stored  read   ring (or [B, capacity, numKvHeads, H]: kvStride), by keysAt
//   scores   [rows of the block, contextLen]  f32     write
//
// Grid: (column groups, row tiles). A workgroup owns blocks of WORKGROUP x 4 columns, the grid's width apart, and walks
// those that the context has. An invocation owns a tile of ROWS rows by 4 columns of each; query head n reads KV head
// n / groupSize where it lies.
//
// Needs context, key_middle, keys, masked, pack, params, query, query_shift, query_start, row_order, row_tile,
// seen_tiles, sequences, slots, HEAD_DIM, LOAD_PACKS, ROWS, SINKS, WORKGROUP, scoreOf.
var<storage, read_write> scores: array<f32>;

const HEAD_LOADS = HEAD_DIM / (PACK * LOAD_PACKS);
const BLOCK = WORKGROUP * 4u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = rowTileOf(params.firstTile + workgroupId.y);
  if (tile.numRows == 0u) {
    return;
  }
  let context = contextOf(tile.batch);

  var seen = vec2u(context.len, 0u);
  var visible: array<vec2u, ROWS>;
  var firstLoad: array<u32, ROWS>;
  var shift: array<f32, ROWS>;
  var total: array<f32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, i);
    visible[i] = visibleColumns(context, tokenOf(row));
    seen = vec2u(min(seen.x, visible[i].x), max(seen.y, visible[i].y));
    firstLoad[i] = startOfQuery(tile, i);
    shift[i] = shiftOf(tile, i);
    total[i] = totalOf(tile, i);
  }

  let all = vec2u(0u, context.len);
  let slots = slotsOf(tile.batch, tile.kvHead, context, all);
  let rows = blocksOf(tile, tokensOf(tile), context);
  let end = max(context.len, params.filledLen);
  for (var first = workgroupId.x * BLOCK; first < end; first += numWorkgroups.x * BLOCK) {
    // Softmax reads visible columns alone: columns that no row of the tile sees are skipped, unless the caller reads them.
    let isSeen = (first < seen.y && first + BLOCK > seen.x) || first < min(SINKS, seen.x);
    if (!isSeen && first >= params.filledLen) {
      continue;
    }

    let columns = first + lane + WORKGROUP * vec4u(0u, 1u, 2u, 3u);
    var products = array<vec4f, ROWS>();
    // Scores of columns that a mask hides from the tile are written, and their keys not loaded.
    if (isSeen && seenTile(rows, all, first, min(first + BLOCK, context.len), BLOCK, BLOCK) == first) {
      products = productsOf(slots, min(columns, vec4u(context.len - 1u)), firstLoad, total);
    }
    for (var i = 0u; i < tile.numRows; i++) {
      let row = rowOf(tile, i);
      let offset = scoresOffset(row);
      for (var j = 0u; j < 4u; j++) {
        let column = columns[j];
        if (column < end) {
          let score = scoreOf(products[i][j] + shift[i], row, context, column);
          scores[offset + column] = select(MASKED, score, isVisible(visible[i], column));
        }
      }
    }
  }
}

fn productsOf(slots: Slots, columns: vec4u, firstLoad: array<u32, ROWS>, total: array<f32, ROWS>) -> array<vec4f, ROWS> {
  let k0 = startOfKey(rowOfColumn(slots, columns.x));
  let k1 = startOfKey(rowOfColumn(slots, columns.y));
  let k2 = startOfKey(rowOfColumn(slots, columns.z));
  let k3 = startOfKey(rowOfColumn(slots, columns.w));
  var acc: array<vec4f, ROWS>;
  for (var h = 0u; h < HEAD_LOADS; h++) {
    let a = keysAt(k0, h);
    let b = keysAt(k1, h);
    let c = keysAt(k2, h);
    let d = keysAt(k3, h);
    for (var i = 0u; i < ROWS; i++) {
      let x = queryAt(firstLoad[i] + h);
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        let sum = acc[i];
        acc[i] = vec4f(
          addInner(x[p], a[p], sum.x),
          addInner(x[p], b[p], sum.y),
          addInner(x[p], c[p], sum.z),
          addInner(x[p], d[p], sum.w),
        );
      }
    }
  }
  let steps = vec4f(keyStep(k0), keyStep(k1), keyStep(k2), keyStep(k3));
  let middles = vec4f(keyMiddle(k0), keyMiddle(k1), keyMiddle(k2), keyMiddle(k3));
  for (var i = 0u; i < ROWS; i++) {
    acc[i] = fma(acc[i], steps, total[i] * middles);
  }
  return acc;
}
