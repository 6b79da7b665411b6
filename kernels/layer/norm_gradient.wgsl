// norm_gradient: the gradients of a loss by the rows that a norm reads, and by its gain.
//
//   n = (x - mean) rstd    g = dy w    dx = rstd (g - mean(g) - n mean(g n))    dw[c] = sum_t dy[t] n[t], over the rows t of chunk c
//
// where mean(g) counts only if the norm takes the mean away.
//
//   x          [rows, WIDTH]    f32  read
//   dy         [rows, WIDTH]    f32  read
//   gain       [WIDTH]          f32  read
//   gainParts  [chunks, WIDTH]  f32  write: dw
//   and what putPack writes; mean and rstd are those of momentsOf
//
// Grid: (chunks of rows). A workgroup owns a chunk; lane i owns the packs i, i + LANES, ... of each row, and their sums.
//
// Needs lanes, moments, pack, put_pack, row_packs, stored_pack, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numRows: u32,
  // Rows of a chunk.
  chunk: u32,
  // Keeps a variance from 0.
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> x: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read> gain: array<Wide>;
var<storage, read_write> gainParts: array<Wide>;

const PACKS = WIDTH / PACK;

alias PerRow = array<f32, ROWS>;
// A number of each pack of a lane.
alias PerPack = array<Wide, (PACKS + LANES - 1u) / LANES>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = workgroupId.x * params.chunk;
  let end = min(first + params.chunk, params.numRows);
  var gains = PerPack();
  for (var i = lane; i < PACKS; i += LANES) {
    gains[i / LANES] = gain[i];
  }
  var gainSums = PerPack();
  for (var row = first; row < end; row++) {
    holdRow(row * PACKS, lane);
    let own = momentsOf(row * PACKS, lane);
    var gradients = PerPack();
    var sum = 0.0;
    var product = 0.0;
    for (var i = lane; i < PACKS; i += LANES) {
      let normed = (rowPack(row * PACKS, i) - own.mean) * own.rstd;
      let gradient = packOf(dy[row * PACKS + i]);
      gainSums[i / LANES] = fma(gradient, normed, gainSums[i / LANES]);
      let g = gradient * gains[i / LANES];
      gradients[i / LANES] = g;
      sum = addInner(g, Wide(1.0), sum);
      product = addInner(g, normed, product);
    }
    let throughMean = meanGradient(sumOverLanes(sum, lane, lane) / f32(WIDTH));
    let throughScale = sumOverLanes(product, lane, lane) / f32(WIDTH);
    for (var i = lane; i < PACKS; i += LANES) {
      let normed = (rowPack(row * PACKS, i) - own.mean) * own.rstd;
      putPack(row, i, own.rstd * (gradients[i / LANES] - throughMean - normed * throughScale));
    }
  }
  for (var i = lane; i < PACKS; i += LANES) {
    gainParts[workgroupId.x * PACKS + i] = gainSums[i / LANES];
  }
}
