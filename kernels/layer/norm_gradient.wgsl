// norm_gradient: the gradient of a loss by the rows that a norm reads.
//
//   n = (x - mean) rstd    g = dy w    dx = rstd (g - mean(g) - n mean(g n))
//
// where mean(g) counts only if the norm takes the mean away.
//
//   x        [rows, WIDTH]  f32         read
//   dy       [rows, WIDTH]  f32         read
//   gain     [WIDTH]        f32         read
//   moments  [rows]         mean, rstd  write: for the gradient of the gain
//   and what putPack writes; mean and rstd are those of momentsOf
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the packs i, i + LANES, ...
//
// Needs lanes, moments, pack, put_pack, LANES, ROWS, WIDTH, WORKGROUP.
struct Params {
  numRows: u32,
  // Keeps a variance from 0.
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> x: array<Wide>;
var<storage, read> dy: array<Wide>;
var<storage, read> gain: array<Wide>;
var<storage, read_write> moments: array<vec2f>;

const PACKS = WIDTH / PACK;

alias PerRow = array<f32, ROWS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
  if (row >= params.numRows) {
    return;
  }
  let own = momentsOf(row * PACKS, lane);
  var sum = 0.0;
  var product = 0.0;
  for (var i = lane; i < PACKS; i += LANES) {
    let g = dy[row * PACKS + i] * gain[i];
    sum = addInner(g, Wide(1.0), sum);
    product = addInner(g, (x[row * PACKS + i] - own.mean) * own.rstd, product);
  }
  let throughMean = meanGradient(sumOverLanes(sum, lane, lane) / f32(WIDTH));
  let throughScale = sumOverLanes(product, lane, lane) / f32(WIDTH);
  for (var i = lane; i < PACKS; i += LANES) {
    let normed = (x[row * PACKS + i] - own.mean) * own.rstd;
    let g = dy[row * PACKS + i] * gain[i];
    putPack(row, i, own.rstd * (g - throughMean - normed * throughScale));
  }
  if (lane == 0u) {
    moments[row] = vec2f(own.mean, own.rstd);
  }
}
