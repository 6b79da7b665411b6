// lanes_memory: reductions over the lanes of a row group, through workgroup memory.
var<workgroup> reduced: array<PerRow, WORKGROUP>;

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

fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  workgroupBarrier();
  reduced[invocation][0] = own;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      reduced[invocation][0] += reduced[invocation + stride][0];
    }
  }
  workgroupBarrier();
  return reduced[invocation - lane][0];
}
