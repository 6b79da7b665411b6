// product: a product of matrices, of which the second is read by rows: the gradients of a projection are two.
//
//   y[c, m, n] = sum_k a(m, k) b[k, n], over the k of chunk c
//
// It reads what factorsAt and innerPack read, and writes what putPack writes.
//
// Grid: (blocks of tiles, lines of blocks, chunks of the sum). An invocation owns a tile of ROWS rows and OWN_PACKS packs, so that
// a loaded factor serves every pack and a loaded pack every row; neighbours own the packs of the same rows.
//
// Needs factors, inner_row, pack, put_pack, OWN_PACKS, ROWS, TILES, WIDTH, WORKGROUP.
struct Params {
  // Rows of y.
  rows: u32,
  // Products of a row of the first matrix.
  inner: u32,
  // The first of those that are added up, and how many a chunk has.
  first: u32,
  chunk: u32,
}

var<uniform> params: Params;

const PACKS = WIDTH / PACK;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let workgroupIndex = workgroupId.y * numWorkgroups.x + workgroupId.x;
  let firstRow = firstRowOf(workgroupIndex, invocation);
  let firstPack = (workgroupIndex * WORKGROUP + invocation) % TILES * OWN_PACKS;
  if (firstRow >= params.rows) {
    return;
  }
  let first = params.first + workgroupId.z * params.chunk;
  let end = min(first + params.chunk, params.inner);

  var sums: array<array<Wide, OWN_PACKS>, ROWS>;
  for (var k = first; k < end; k++) {
    var held = array<Wide, OWN_PACKS>();
    /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
      held[p] = innerPack(k, min(firstPack + p, PACKS - 1u));
    }
    let factors = factorsAt(firstRow, k, invocation);
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
        sums[r][p] = fma(Wide(factors[r]), held[p], sums[r][p]);
      }
    }
  }

  /*unroll*/ for (var r = 0u; r < ROWS; r++) {
    /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
      if (firstRow + r < params.rows && firstPack + p < PACKS) {
        putPack(workgroupId.z * params.rows + firstRow + r, firstPack + p, sums[r][p]);
      }
    }
  }
}
