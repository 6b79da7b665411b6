// transform_queries: queries take in the transform of the keys, so that their products are with keys as these are stored.
//
//   q . k = shift + ((q scale) R) . y    k = offset + scale (y R)    shift = q . offset
//
//   q        [B, S, N, H]            T    read   (or [B, N, S, H]: qStride)
//   queries  [B, S, N, QUERY_WIDTH]  f32  write  in the order of q: (q scale) R, shift, zeros
//
// Grid: (rows, lines of rows). A workgroup owns a row; lane i owns the elements i, i + WORKGROUP, ...
//
// Needs channels, params, rotation, HEAD_DIM, KEY_BLOCK, QUERY_WIDTH, T, WORKGROUP.
var<storage, read> q: array<T>;
var<storage, read_write> queries: array<f32>;

var<workgroup> elements: array<f32, HEAD_DIM>;
var<workgroup> shifts: array<f32, WORKGROUP>;

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
  let kvHead = kvHeadOf(row);
  let place = queryRow(batchOf(row), headOf(row), tokenOf(row));
  var shift = 0.0;
  for (var h = lane; h < HEAD_DIM; h += WORKGROUP) {
    let x = f32(q[place * HEAD_DIM + h]);
    let channel = keyChannel(kvHead, h);
    shift = fma(x, channel.offset, shift);
    elements[h] = x * channel.scale;
  }
  shifts[lane] = shift;
  rotate(HEAD_DIM, KEY_BLOCK, lane);
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane < stride) {
      shifts[lane] += shifts[lane + stride];
    }
    workgroupBarrier();
  }
  for (var h = lane; h < QUERY_WIDTH; h += WORKGROUP) {
    let tail = select(0.0, shifts[0], h == HEAD_DIM);
    queries[place * QUERY_WIDTH + h] = select(tail, elements[min(h, HEAD_DIM - 1u)], h < HEAD_DIM);
  }
}
