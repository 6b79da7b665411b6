// lanes: reductions over the LANES lanes of a row group; every lane gets the result.
//
//   maxOverLanes(x)[i] = max over lanes of x[i]    sumOverLanes(x) = sum over lanes of x

// variant one: a row group is one lane.
fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  return own;
}

// variant one_maximum: a row group of one lane takes a maximum as well.
//
// Needs PerRow.
fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
  return own;
}

// variant shuffle: lanes exchange by subgroup operations. LANES divides the size of every subgroup, so that a butterfly over
// LANES neighbours stays in the row group.
//
// Needs HALVINGS, LANES, PerRow, ROWS.
fn maxOverLanes(own: PerRow, invocation: u32, lane: u32) -> PerRow {
  var most = own;
  // Strides are constants here, for which GPUs have cheaper exchanges: each tile takes a maximum, and the last alone a sum.
  /*unroll*/ for (var r = 0u; r < HALVINGS; r++) {
    /*unroll*/ for (var i = 0u; i < ROWS; i++) {
      most[i] = max(most[i], subgroupShuffleXor(most[i], LANES >> (r + 1u)));
    }
  }
  return most;
}

fn sumOverLanes(own: f32, invocation: u32, lane: u32) -> f32 {
  var sum = own;
  for (var stride = LANES / 2u; stride > 0u; stride /= 2u) {
    sum += subgroupShuffleXor(sum, stride);
  }
  return sum;
}

// variant memory: lanes exchange through workgroup memory. A barrier must stand between any of these calls and a later one of
// maxOverLanes, which has none before its first write: loops over tiles have one at their end.
//
// Needs LANES, PerRow, ROWS, WORKGROUP.
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
