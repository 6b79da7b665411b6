// strips: a sum over the lanes that share elements of a row, each over rows of its own.
//
// Needs pack, tile, STRIPS, STRIP_INVOCATIONS.
var<workgroup> strips: array<Wide, STRIP_INVOCATIONS>;

// The sum reaches the first strip; neighbours of a strip are VALUE_LANES apart.
fn sumOverStrips(own: Wide, invocation: u32, strip: u32) -> Wide {
  if (STRIPS == 1u) {
    return own;
  }
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
