// sum_slices: the gradients of all slices give the whole.
//
//   gradient[i] = sum over slices of partials[slice, i]
//
//   partials  [slices, packs of a slice]  f32  read   the elements begin at `first`
//   gradient  [packs]                     T    write
//
// Grid: (blocks of WORKGROUP packs, lines of blocks). An invocation owns a pack, and adds up the slices in their order.
//
// Needs pack, Gradient, WORKGROUP.
struct Params {
  // Packs from one slice to the next, the first of them that is asked for, and their number.
  stride: u32,
  first: u32,
  count: u32,
}

var<uniform> params: Params;
var<storage, read> partials: array<Wide>;
var<storage, read_write> gradient: array<Gradient>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + lane;
  if (index >= params.count) {
    return;
  }
  var sum = Wide();
  // The length of the buffer bounds the loop: lavapipe compiles a kernel anew for each dispatch whose loop a uniform bounds.
  let numSlices = arrayLength(&partials) / params.stride;
  for (var slice = 0u; slice < numSlices; slice++) {
    sum += partials[slice * params.stride + params.first + index];
  }
  gradient[index] = Gradient(sum);
}
