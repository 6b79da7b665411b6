// strips: a sum over the lanes that share elements of a row, each over rows of its own. It reaches the first strip; neighbours
// of a strip are VALUE_LANES apart.

// variant one: no lanes share elements.
//
// Needs pack.
fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
  return own;
}

// variant shuffle: lanes exchange by subgroup operations, as those of lanes.shuffle.
//
// Needs pack, tile, STRIPS.
fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
  var sum = own;
  for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
    sum += subgroupShuffleXor(sum, stride * VALUE_LANES);
  }
  return sum;
}

// variant memory: lanes exchange through workgroup memory.
//
// Needs pack, tile, STRIPS, WORKGROUP.
var<workgroup> strips: array<Wide, WORKGROUP>;

fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
  workgroupBarrier();
  strips[invocation] = own;
  for (var stride = STRIPS / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (strip < stride) {
      strips[invocation] += strips[invocation + stride * VALUE_LANES];
    }
  }
  return strips[invocation];
}
