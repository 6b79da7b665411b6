// factors: what multiplies the packs of STEPS rows of the second matrix of a product, from k on, for the rows of a tile.

// variant own: an invocation loads all of its own.
//
// Needs factor, ROWS, STEPS, params.
fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
  var factors: array<array<f32, ROWS>, STEPS>;
  /*unroll*/ for (var s = 0u; s < STEPS; s++) {
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      factors[s][r] = factorAt(min(firstRow + r, params.rows - 1u), k + s);
    }
  }
  return factors;
}

// variant broadcast: a workgroup is a subgroup, or a part of one, whose invocations have the same rows: each loads FACTOR_LOADS
// factors and broadcasts them.
//
// Needs factor, FACTOR_LOADS, ROWS, STEPS, WORKGROUP, params.
fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
  var factors: array<array<f32, ROWS>, STEPS>;
  /*unroll*/ for (var s = 0u; s < STEPS; s++) {
    var loaded: array<f32, FACTOR_LOADS>;
    /*unroll*/ for (var i = 0u; i < FACTOR_LOADS; i++) {
      loaded[i] = factorAt(min(firstRow + i * WORKGROUP + invocation, params.rows - 1u), k + s);
    }
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      factors[s][r] = subgroupBroadcast(loaded[r / WORKGROUP], r % WORKGROUP);
    }
  }
  return factors;
}

// variant broadcast_packs: as broadcast, of a matrix stored by its rows whose packs are loaded as a whole: PACK is STEPS.
//
//   a  [rows, inner]  f32  read
//
// Needs pack, stored_pack, FACTOR_LOADS, ROWS, STEPS, WORKGROUP, params.
var<storage, read> a: array<StoredPack>;

fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
  var loaded: array<Wide, FACTOR_LOADS>;
  /*unroll*/ for (var i = 0u; i < FACTOR_LOADS; i++) {
    let row = min(firstRow + i * WORKGROUP + invocation, params.rows - 1u);
    loaded[i] = packOf(a[(row * params.inner + k) / PACK]);
  }
  var factors: array<array<f32, ROWS>, STEPS>;
  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    let own = subgroupBroadcast(loaded[r / WORKGROUP], r % WORKGROUP);
    /*unroll*/ for (var s = 0u; s < STEPS; s++) {
      factors[s][r] = own[s];
    }
  }
  return factors;
}

// variant broadcast_column_packs: as broadcast, of a matrix stored by its columns: each loads a pack of rows of one step, so that
// ROWS x STEPS is WORKGROUP x PACK.
//
//   a  [inner, rows]  f32  read
//
// Needs pack, stored_pack, PACK_ROWS, ROWS, STEPS, params.
var<storage, read> a: array<StoredPack>;

fn factorsAt(firstRow: u32, k: u32, invocation: u32) -> array<array<f32, ROWS>, STEPS> {
  let row = min(firstRow + invocation % PACK_ROWS * PACK, params.rows - PACK);
  let loaded = packOf(a[((k + invocation / PACK_ROWS) * params.rows + row) / PACK]);
  var factors: array<array<f32, ROWS>, STEPS>;
  /*unroll*/ for (var s = 0u; s < STEPS; s++) {
    /*unroll*/ for (var p = 0u; p < PACK_ROWS; p++) {
      let own = subgroupBroadcast(loaded, s * PACK_ROWS + p);
      factors[s][p * PACK] = own.x;
      factors[s][p * PACK + 1u] = own.y;
      factors[s][p * PACK + 2u] = own.z;
      factors[s][p * PACK + 3u] = own.w;
    }
  }
  return factors;
}
