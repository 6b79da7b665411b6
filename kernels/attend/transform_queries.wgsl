// transform_queries: queries take in the transform of the keys, so that their products are with keys as these are stored.
//
//   q . k = shift + ((q scale) R) . y    k = offset + scale (y R)    shift = q . offset    total = sum_h x[h]
//
//   q        [B, S, N, H]            T    read   (or [B, N, S, H]: qStride)
//   queries  [B, S, N, QUERY_WIDTH]  f32  write  in the order of q: x = (q scale) R, shift, zeros, total, zeros
//
// Shift and total begin loads of their own, each half of what lies behind the H elements.
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the elements i, i + WORKGROUP, ...
//
// Needs channels, params, rotation, rows, HEAD_DIM, KEY_BLOCK, QUERY_WIDTH, T, WORKGROUP.
var<storage, read> q: array<T>;
var<storage, read_write> queries: array<f32>;

var<workgroup> elements: array<f32, HEAD_DIM>;
// Shift and total, as far as a lane has them.
var<workgroup> sums: array<vec2f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroupId.y * numWorkgroups.x + workgroupId.x;
  if (!isRow(row)) {
    return;
  }
  let kvHead = kvHeadOf(row);
  let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
  var shift = 0.0;
  for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
    let x = f32(q[place * HEAD_DIM + h]);
    let channel = keyChannel(kvHead, h);
    shift = fma(x, channel.offset, shift);
    elements[h] = x * channel.scale;
  }
  rotate(HEAD_DIM, KEY_BLOCK, lane);
  var total = 0.0;
  for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
    total += elements[h];
  }
  sums[lane] = vec2f(shift, total);
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      sums[lane] += sums[lane + stride];
    }
    workgroupBarrier();
  }
  let first = place * QUERY_WIDTH;
  for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
    queries[first + h] = elements[h];
  }
  for (var h = HEAD_DIM + lane; h < QUERY_WIDTH; h += WORKGROUP) {
    queries[first + h] = 0.0;
  }
  storageBarrier();
  if (lane == 0u) {
    queries[first + HEAD_DIM] = sums[0].x;
    queries[first + (HEAD_DIM + QUERY_WIDTH) / 2u] = sums[0].y;
  }
}
