// attend: attention of one tile of rows over one slice of the context, in one pass over its keys and values.
//
//   s[c] = scoreOf(q . k[c])    m = max_c s[c]    d = sum_c exp(s[c] - m)    o[h] = sum_c exp(s[c] - m) v[c, h]
//
//   lengths  [B]                                   u32  read
//   q        [B, S, N, H]                          T    read   (or [B, N, S, H]: qStride)
//   k        [B, numKvHeads, capacity, H]          T    read   ring (or [B, capacity, numKvHeads, H]: kvStride)
//   v        [B, numKvHeads, capacity, VALUE_DIM]  T    read   ring
//   and what storeRow writes: the outputs, or the partial states {o, m, d} of the slice
//
// Grid: (slices, row tiles). A workgroup owns a slice and TILE_ROWS rows that share its KV head, so that a loaded key or
// value serves the whole query group; it walks the slice by TILE_COLUMNS columns. Each of its ROW_GROUPS groups of LANES
// invocations owns ROWS rows. For the scores, a lane owns KEYS columns; for the output, VALUE_PACKS packs of the value and
// every STRIPS-th column. Loops marked `unroll` are written out, as arrays that are indexed at run time leave registers.
@group(0) @binding(2) var<storage, read> q: array<Pack>;
@group(0) @binding(3) var<storage, read> k: array<Pack>;
@group(0) @binding(4) var<storage, read> v: array<Pack>;

const HEAD_PACKS = HEAD_DIM / PACK;
const PACKS = VALUE_DIM / PACK;
const VALUE_LANES = LANES / STRIPS;

const TILE_COLUMNS = LANES * KEYS;

alias PerRow = array<f32, ROWS>;

// exp(s - m) by row group and column of the tile.
var<workgroup> weights: array<array<PerRow, TILE_COLUMNS>, ROW_GROUPS>;
var<workgroup> reduced: array<PerRow, WORKGROUP>;
var<workgroup> strips: array<array<Wide, ROWS>, STRIP_INVOCATIONS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let tile = rowTileOf(params.firstTile + workgroupId.y);
  let context = contextOf(tile.batch);
  let seen = columnsSeenBy(tile, context);
  let tiles = (seen.y - seen.x + TILE_COLUMNS - 1u) / TILE_COLUMNS;
  let perSlice = (tiles + numWorkgroups.x - 1u) / numWorkgroups.x * TILE_COLUMNS;
  let first = seen.x + workgroupId.x * perSlice;
  let end = min(seen.y, first + perSlice);

  let rowGroup = invocation / LANES;
  let lane = invocation % LANES;
  let strip = lane / VALUE_LANES;
  let firstPack = lane % VALUE_LANES;

  var visible: array<vec2u, ROWS>;
  var qBase: array<u32, ROWS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let row = rowOf(tile, rowGroup * ROWS + i);
    visible[i] = visibleColumns(context, tokenOf(row));
    qBase[i] = queryRow(tile.batch, headOf(row), tokenOf(row)) * HEAD_PACKS;
  }

  var m: PerRow;
  var d: PerRow;
  var acc: array<array<Wide, ROWS>, VALUE_PACKS>;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    m[i] = MASKED;
  }

  for (var start = first; start < end; start += TILE_COLUMNS) {
    var s = scoresOf(tile, context, start + lane, qBase);
    var most: PerRow;
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      most[i] = MASKED;
      let row = rowOf(tile, rowGroup * ROWS + i);
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let column = start + lane + LANES * j;
        let isVisible = column >= visible[i].x && column < min(visible[i].y, end);
        s[i][j] = select(MASKED, scoreOf(s[i][j], row, context, column), isVisible);
        most[i] = max(most[i], s[i][j]);
      }
    }
    most = maxOverLanes(most, invocation, lane);

    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let mNew = max(m[i], most[i]);
      let rescale = exp(m[i] - mNew);
      m[i] = mNew;
      d[i] *= rescale;
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        let w = select(exp(s[i][j] - mNew), 0.0, s[i][j] <= MASKED);
        d[i] += w;
        weights[rowGroup][lane + LANES * j][i] = w;
      }
      /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
        acc[j][i] *= rescale;
      }
    }
    workgroupBarrier();

    let count = min(TILE_COLUMNS, end - start);
    for (var c = strip; c < count; c += STRIPS) {
      let row = kvRow(tile.batch, tile.kvHead, slotOf(context, start + c)) * PACKS;
      let w = weights[rowGroup][c];
      /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
        let x = Wide(v[row + min(firstPack + j * VALUE_LANES, PACKS - 1u)]);
        /*unroll*/ for (var i = 0u; i < ROWS; i++) {
          // What a row does not see must not reach it even where it is infinite or NaN.
          acc[j][i] += select(w[i] * x, Wide(), w[i] == 0.0);
        }
      }
    }
  }

  d = sumOverLanes(d, invocation, lane);
  /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
    let pack = firstPack + j * VALUE_LANES;
    let total = sumOverStrips(acc[j], invocation, strip);
    if (strip == 0u && pack < PACKS) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        if (rowGroup * ROWS + i < tile.numRows) {
          storeRow(rowOf(tile, rowGroup * ROWS + i), workgroupId.x, pack, total[i], SoftmaxState(m[i], d[i]));
        }
      }
    }
  }
}

// Columns that any row of the tile sees. A tile of one head sees what its first and last tokens see.
fn columnsSeenBy(tile: RowTile, context: Context) -> vec2u {
  let first = tokenOf(rowOf(tile, 0u));
  let last = tokenOf(rowOf(tile, tile.numRows - 1u));
  let isOneHead = tile.firstRow / params.seqLen == (tile.firstRow + tile.numRows - 1u) / params.seqLen;
  return vec2u(
    visibleColumns(context, select(0u, first, isOneHead)).x,
    visibleColumns(context, select(params.seqLen - 1u, last, isOneHead)).y,
  );
}

fn scoresOf(tile: RowTile, context: Context, column: u32, qBase: array<u32, ROWS>) -> array<array<f32, KEYS>, ROWS> {
  var kBase: array<u32, KEYS>;
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    let inContext = min(column + LANES * j, context.len - 1u);
    kBase[j] = kvRow(tile.batch, tile.kvHead, slotOf(context, inContext)) * HEAD_PACKS;
  }
  var s: array<array<f32, KEYS>, ROWS>;
  for (var h = 0u; h < HEAD_PACKS; h++) {
    var keys: array<Wide, KEYS>;
    /*unroll*/ for (var j = 0u; j < KEYS; j++) {
      keys[j] = Wide(k[kBase[j] + h]);
    }
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let x = Wide(q[qBase[i] + h]);
      /*unroll*/ for (var j = 0u; j < KEYS; j++) {
        s[i][j] += inner(x, keys[j]);
      }
    }
  }
  return s;
}

fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
  reduced[invocation] = own;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        reduced[invocation][i] = max(reduced[invocation][i], reduced[invocation + stride][i]);
      }
    }
  }
  workgroupBarrier();
  return reduced[invocation - lane];
}

fn sumOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
  workgroupBarrier();
  reduced[invocation] = own;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        reduced[invocation][i] += reduced[invocation + stride][i];
      }
    }
  }
  workgroupBarrier();
  return reduced[invocation - lane];
}

// The sum reaches the first strip; neighbours of a strip are VALUE_LANES apart.
fn sumOverStrips(own: array<Wide, ROWS>, invocation: u32, strip: u32) -> array<Wide, ROWS> {
  if (STRIPS == 1u) {
    return own;
  }
  workgroupBarrier();
  strips[invocation] = own;
  for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (strip < stride) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        strips[invocation][i] += strips[invocation + stride * VALUE_LANES][i];
      }
    }
  }
  return strips[invocation];
}
