// fill_texels: rows of queries, keys or values are brought to a texture, in f32, for kernels that read them many times.
//
// A software device loads a texel for about what it computes in the meantime, where a load from storage takes ten times as long.
//
//   k       [rows, H]  Stored  read, by keysAt
//   filled  [rows, H]  f32     write, a pack in each texel
//
// Grid: (any, batch x KV heads). The invocations of a KV head of a sequence share the loads of its filled rows.
//
// Needs filled_rows, keys, pack, texels, HEAD_DIM, LOAD_PACKS, WORKGROUP, params.
var filled: texture_storage_2d<rgba32float, write>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) invocation: u32,
) {
  let rows = filledRowsOf(workgroupId.y / params.numKvHeads, workgroupId.y % params.numKvHeads);
  let rowLoads = HEAD_DIM / (PACK * LOAD_PACKS);
  let loads = rows.count * rowLoads;
  for (var i = workgroupId.x * WORKGROUP + invocation; i < loads; i += numWorkgroups.x * WORKGROUP) {
    let row = filledRow(rows, i / rowLoads);
    let numbers = keysAt(startOfKey(row), i % rowLoads);
    /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
      let texel = row * (HEAD_DIM / PACK) + i % rowLoads * LOAD_PACKS + p;
      textureStore(filled, placeOfTexel(texel), numbers[p]);
    }
  }
}
