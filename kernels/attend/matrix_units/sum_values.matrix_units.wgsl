// sum_values.matrix_units: the subgroup sums up all values of the tile on matrix units; each lane adds its own loads.
//
//   acc[h] += sum over c of w[c] v[c, h]
//
// Weights are multiplied by WEIGHT_SCALE, so that f16 loses none above 2e-9. Values that f16 does not hold, infinities and
// NaN among them, are added apart in f32: a value that a row does not see must not reach it, and 0 x Inf is NaN.
//
// Needs columns, matrix_block, matrix_pack, matrix_tile, pack, tile, values, BLOCK_COLUMNS, BLOCK_INNER, BLOCK_ROWS,
// Factor, KEYS, LANES, LOAD_PACKS, PACKS, ROWS, Sums, VALUE_LOADS, VALUE_PACKS, VALUE_WIDTH, weights.
const WEIGHT_SCALE = 32768.0;
const LARGEST_HALF = WideUint(0x477fe000u);

const VALUE_LOADS_WIDE = VALUE_WIDTH / (PACK * LOAD_PACKS);

fn addValues(
  acc: ptr<function, Sums>,
  columns: Columns,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
  maySkip: bool,
) {
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    let c = lane + LANES * j;
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      factors[WEIGHTS + i * TILE_COLUMNS + c] = f16(WEIGHT_SCALE * weights[rowGroup][c][0u][i]);
    }
  }
  var hasOthers = false;
  for (var n = lane; n < TILE_COLUMNS * VALUE_LOADS_WIDE; n += LANES) {
    let c = n / VALUE_LOADS_WIDE;
    let h = n % VALUE_LOADS_WIDE;
    var values = array<Wide, LOAD_PACKS>();
    var step = 0.0;
    if (h < PACKS / LOAD_PACKS) {
      let value = valueOfColumn(columns, start + c);
      values = valuesAt(value, h);
      step = valueStep(value);
    }
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      let x = step * values[p];
      let isOther = magnitudeOf(x) > LARGEST_HALF;
      hasOthers = hasOthers || any(isOther);
      putFactors(STAGED + c * VALUE_WIDTH + (h * LOAD_PACKS + p) * PACK, Factor(select(x, Wide(), isOther)));
    }
  }
  workgroupBarrier();
  for (var i = 0u; i < ROWS; i += BLOCK_ROWS) {
    for (var h = 0u; h < VALUE_WIDTH; h += BLOCK_COLUMNS) {
      var sum = Sum();
      for (var c = 0u; c < TILE_COLUMNS; c += BLOCK_INNER) {
        let left = leftAt(WEIGHTS + i * TILE_COLUMNS + c, TILE_COLUMNS);
        sum = addProduct(left, rightAt(STAGED + c * VALUE_WIDTH + h, VALUE_WIDTH), sum);
      }
      storeSum(i * VALUE_WIDTH + h, VALUE_WIDTH, sum);
    }
  }
  workgroupBarrier();
  /*unroll*/ for (var j = 0u; j < VALUE_PACKS; j++) {
    let pack = (lane + j / LOAD_PACKS * LANES) * LOAD_PACKS + j % LOAD_PACKS;
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      let sum = productsAt(i * VALUE_WIDTH + min(pack, PACKS - 1u) * PACK);
      (*acc)[j][i] = fma(sum, Wide(1.0 / WEIGHT_SCALE), (*acc)[j][i]);
    }
  }
  if (subgroupAny(hasOthers)) {
    addOthers(acc, columns, start, count, rowGroup, lane);
  }
}

fn addOthers(
  acc: ptr<function, Sums>,
  columns: Columns,
  start: u32,
  count: u32,
  rowGroup: u32,
  lane: u32,
) {
  for (var c = 0u; c < count; c++) {
    let value = valueOfColumn(columns, start + c);
    let step = valueStep(value);
    /*unroll*/ for (var j = 0u; j < VALUE_LOADS; j++) {
      let values = valuesAt(value, min(lane + j * LANES, PACKS / LOAD_PACKS - 1u));
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        let x = step * values[p];
        let other = select(Wide(), x, magnitudeOf(x) > LARGEST_HALF);
        /*unroll*/ for (var i = 0u; i < ROWS; i++) {
          let w = weights[rowGroup][c][0u][i];
          (*acc)[j * LOAD_PACKS + p][i] = fma(Wide(w), select(other, Wide(), w == 0.0), (*acc)[j * LOAD_PACKS + p][i]);
        }
      }
    }
  }
}

// Bits of |x|: as integers they are in the order of the numbers, then infinity, then NaN.
fn magnitudeOf(x: Wide) -> WideUint {
  return bitcast<WideUint>(x) & WideUint(0x7fffffffu);
}

// All lanes work on the same column.
fn stripOf(lane: u32) -> u32 {
  return 0u;
}

// Values take in their step before they become factors in f16: weights take in none.
fn stepOfWeight(value: u32) -> f32 {
  return 1.0;
}
