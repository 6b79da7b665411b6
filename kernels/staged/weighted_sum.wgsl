// weighted_sum: the output of a row is the sum of the values of its context, each times its weight.
//
//   o[row, h] = sum_c w[row, c] v[c, h]
//
//   weights  [rows of the block, contextLen]       f32     read
//   v        [B, numKvHeads, capacity, VALUE_DIM]  Stored  read   ring (or [B, capacity, numKvHeads, ...]: kvStride), by
//                                                                 valuesAt
//   o        [B, S, N, VALUE_DIM]                  T       write  (or [B, N, S, ...]: qStride)
//
// Grid: (row tiles, blocks of LANES loads of the head). A workgroup is STRIPS x LANES invocations: a lane owns the packs of
// one load of ROWS output rows, a strip every STRIPS-th quad of columns; workgroup memory adds the strips up.
//
// Needs context, pack, params, row_order, row_tile, seen_tiles, sequences, slots, value_middle, values, LANES,
// LOAD_PACKS, Pack, ROWS, STRIPS, VALUE_DIM, WORKGROUP.
var<storage, read> weights: array<f32>;
var<storage, read_write> o: array<Pack>;

const PACKS = VALUE_DIM / PACK;
const LOADS = PACKS / LOAD_PACKS;

alias OfLoad = array<Wide, LOAD_PACKS>;

var<workgroup> sums: array<array<OfLoad, ROWS>, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) invocation: u32) {
  let tile = rowTileOf(params.firstTile + workgroupId.x);
  if (tile.numRows == 0u) {
    return;
  }
  let context = contextOf(tile.batch);
  let load = workgroupId.y * LANES + invocation % LANES;
  let strip = invocation / LANES;
  let loaded = min(load, LOADS - 1u);

  var seen = vec2u(context.len, 0u);
  var offset: array<u32, ROWS>;
  for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, i);
    let visible = visibleColumns(context, tokenOf(row));
    seen = vec2u(min(seen.x, visible.x), max(seen.y, visible.y));
    offset[i] = scoresOffset(row);
  }

  var acc: array<OfLoad, ROWS>;
  let count = countOf(seen);
  let slots = slotsOf(tile.batch, tile.kvHead, context, seen);
  let rows = blocksOf(tile, tokensOf(tile), context);
  var first = seenTile(rows, seen, strip * 4u, count, 4u, STRIPS * 4u);
  for (; first < count; first = seenTile(rows, seen, first + STRIPS * 4u, count, 4u, STRIPS * 4u)) {
    for (var j = 0u; j < 4u; j++) {
      let index = min(first + j, count - 1u);
      let column = columnAt(seen, index);
      let value = startOfValue(rowOfColumn(slots, index));
      let step = valueStep(value);
      let middle = Wide(valueMiddle(value));
      let values = valuesAt(value, loaded);
      for (var i = 0u; i < ROWS; i++) {
        // A value that the row does not see, or has had, may be Inf or NaN, and 0 x Inf is NaN.
        let weight = select(0.0, weights[offset[i] + column], first + j < count);
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          acc[i][p] += weight * select(step * values[p] + middle, Wide(), weight == 0.0);
        }
      }
    }
  }

  sums[invocation] = acc;
  for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (strip < stride) {
      for (var i = 0u; i < ROWS; i++) {
        /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
          sums[invocation][i][p] += sums[invocation + stride * LANES][i][p];
        }
      }
    }
  }

  if (strip == 0u && load < LOADS) {
    for (var i = 0u; i < tile.numRows; i++) {
      let row = rowOf(tile, i);
      let first = queryRow(tile.batch, headOf(row), tokenOf(row)) * PACKS + load * LOAD_PACKS;
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        o[first + p] = Pack(sums[invocation][i][p]);
      }
    }
  }
}
