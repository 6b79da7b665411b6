// each: a function of every element.
//
// It reads and writes what visit does.
//
// Grid: (blocks of elements, lines of blocks). An invocation owns an element.
//
// Needs WORKGROUP, params, visit.
@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let i = (workgroupId.y * numWorkgroups.x + workgroupId.x) * WORKGROUP + invocation;
  if (i < params.length) {
    visit(i);
  }
}
