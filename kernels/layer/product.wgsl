// product: a product of matrices, of which the second is read by rows: the gradients of a projection are two.
//
//   y[c, m, n] = sum_k a(m, k) b[k, n], over the k of chunk c
//
// It reads what factorsAt and innerPack read, and writes what putPack writes.
//
// Grid: (blocks of tiles, lines of blocks, chunks of the sum). An invocation owns a tile of ROWS rows and OWN_PACKS packs, so that
// a loaded factor serves every pack and a loaded pack every row; neighbours own the packs of the same rows.
//
// Needs factors, inner_row, pack, put_pack, tile_rows, OWN_PACKS, ROWS, STEPS, TILES, WIDTH, WORKGROUP.
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

alias OwnPacks = array<Wide, OWN_PACKS>;

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

  var sums: array<OwnPacks, ROWS>;
  for (var k = first; k < end; k += STEPS) {
    let factors = factorsAt(firstRow, k, invocation);
    var held = array<OwnPacks, STEPS>();
    /*unroll*/ for (var s = 0u; s < STEPS; s++) {
      /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
        held[s][p] = innerPack(k + s, min(firstPack + p, PACKS - 1u));
      }
    }
    // The steps of a sum follow each other, so that it comes from the stack and goes back once.
    /*unroll*/ for (var r = 0u; r < ROWS; r++) {
      /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
        /*unroll*/ for (var s = 0u; s < STEPS; s++) {
          sums[r][p] = fma(Wide(factors[s][r]), held[s][p], sums[r][p]);
        }
      }
    }
  }

  // A loop that is not written out picks the row from the registers: compilers take longer over stores than over the rest.
  for (var r = 0u; r < ROWS; r++) {
    var row = OwnPacks();
    /*unroll*/ for (var n = 0u; n < ROWS; n++) {
      if (r == n) {
        row = sums[n];
      }
    }
    /*unroll*/ for (var p = 0u; p < OWN_PACKS; p++) {
      if (firstRow + r < params.rows && firstPack + p < PACKS) {
        putPack(workgroupId.z * params.rows + firstRow + r, firstPack + p, row[p]);
      }
    }
  }
}
