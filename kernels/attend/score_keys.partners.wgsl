// score_keys.partners: PARTNERS neighbouring lanes score each of their keys together, so that they load neighbouring memory.
//
//   s[i][j] = sum over partners of q[i] . k[lane + LANES j], over the loads of the partner
//
// A partner has every PARTNERS-th load of a head, of all rows: it keeps these of the queries in registers, sums up its
// products with the keys of all partners, and exchanges sums until it has those of its own key. PARTNERS divides the size of
// every subgroup.
//
// Needs columns, keys, pack, products, query, query_start, row_tile, EXCHANGES, Factor, HALF_PARTNERS, KEYS, LANES,
// LOAD_PACKS, PARTNERS, PARTNER_LOADS, PARTNER_PACKS, PerRow, ROWS.
alias Queries = array<array<Wide, ROWS>, PARTNER_PACKS>;

fn queriesOf(tile: RowTile, rowGroup: u32, lane: u32) -> Queries {
  var queries: Queries;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    let first = startOfQuery(tile, rowGroup * ROWS + i);
    /*unroll*/ for (var n = 0u; n < PARTNER_LOADS; n++) {
      let x = queryAt(first + loadOfPartner(lane, n));
      /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
        queries[n * LOAD_PACKS + p][i] = x[p];
      }
    }
  }
  return queries;
}

fn loadOfPartner(lane: u32, n: u32) -> u32 {
  return n * PARTNERS + lane % PARTNERS;
}

fn largestQueries(queries: Queries) -> PerRow {
  var most: PerRow;
  /*unroll*/ for (var i = 0u; i < ROWS; i++) {
    /*unroll*/ for (var n = 0u; n < PARTNER_PACKS; n++) {
      most[i] = max(most[i], largestOf(queries[n][i]));
    }
    for (var stride = PARTNERS / 2u; stride > 0u; stride /= 2u) {
      most[i] = max(most[i], subgroupShuffleXor(most[i], stride));
    }
  }
  return most;
}

fn scoresOf(
  columns: Columns,
  start: u32,
  invocation: u32,
  lane: u32,
  queries: Queries,
  shrink: PerRow,
) -> array<array<f32, KEYS>, ROWS> {
  var s: array<array<f32, KEYS>, ROWS>;
  /*unroll*/ for (var j = 0u; j < KEYS; j++) {
    var sums: array<PerRow, PARTNERS>;
    let first = start + lane - lane % PARTNERS + LANES * j;
    /*unroll*/ for (var n = 0u; n < PARTNERS; n++) {
      sums[n] = scoresOfPartner(keyOfColumn(columns, first + n), lane, queries, shrink);
    }
    let step = keyStep(keyOfColumn(columns, first + lane % PARTNERS));
    let own = ownOf(sums, lane);
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      s[i][j] = own[i] * step / shrink[i];
    }
  }
  return s;
}

fn scoresOfPartner(key: u32, lane: u32, queries: Queries, shrink: PerRow) -> PerRow {
  var sums: PerRow;
  /*unroll*/ for (var n = 0u; n < PARTNER_LOADS; n++) {
    let keys = keysAt(key, loadOfPartner(lane, n));
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      /*unroll*/ for (var i = 0u; i < ROWS; i++) {
        sums[i] = addProducts(Factor(shrink[i] * queries[n * LOAD_PACKS + p][i]), keys[p], sums[i]);
      }
    }
  }
  return sums;
}

// Each exchange halves the keys that a lane has sums of: it gives away those of its neighbour, and adds what it gets.
fn ownOf(partial: array<PerRow, PARTNERS>, lane: u32) -> PerRow {
  var sums = partial;
  /*unroll*/ for (var r = 0u; r < EXCHANGES; r++) {
    let stride = PARTNERS >> (r + 1u);
    let isUpper = (lane & stride) != 0u;
    /*unroll*/ for (var n = 0u; n < HALF_PARTNERS; n++) {
      if (n < stride) {
        /*unroll*/ for (var i = 0u; i < ROWS; i++) {
          let given = select(sums[n + stride][i], sums[n][i], isUpper);
          let kept = select(sums[n][i], sums[n + stride][i], isUpper);
          sums[n][i] = kept + subgroupShuffleXor(given, stride);
        }
      }
    }
  }
  return sums[0];
}
