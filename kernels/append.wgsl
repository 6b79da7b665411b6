// append: new keys and values into the ring, and the length after them.
//
//   slot(i) = (lengths[b] + i) mod capacity
//
//   kNew     [B, S, numKvHeads, H]             T    read   (or [B, numKvHeads, S, H]: newStride)
//   vNew     [B, S, numKvHeads, VALUE_DIM]     T    read
//   k        [B, numKvHeads, capacity, H]      T    write
//   v        [B, numKvHeads, capacity, VALUE_DIM]  T  write
//   lengths  [B]  u32  read, write
//   arrivals [B]  u32  read, write  zero between dispatches
//
// Grid: (blocks of elements, batch). An invocation copies elements of K and V, the grid's width apart.
struct Params {
  // Rows of H (or of VALUE_DIM) from one batch, head and token to the next in the new tensors.
  newStride: vec3u,
  numKvHeads: u32,
  seqLen: u32,
  capacity: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> lengths: array<atomic<u32>>;
@group(0) @binding(2) var<storage, read_write> arrivals: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> kNew: array<T>;
@group(0) @binding(4) var<storage, read> vNew: array<T>;
@group(0) @binding(5) var<storage, read_write> k: array<T>;
@group(0) @binding(6) var<storage, read_write> v: array<T>;

const ROW = HEAD_DIM + VALUE_DIM;

var<workgroup> sharedLength: u32;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let batch = workgroupId.y;
  if (lane == 0u) {
    sharedLength = atomicLoad(&lengths[batch]);
  }
  let length = workgroupUniformLoad(&sharedLength);

  let count = params.seqLen * params.numKvHeads * ROW;
  for (var i = workgroupId.x * WORKGROUP + lane; i < count; i += numWorkgroups.x * WORKGROUP) {
    let token = i / (params.numKvHeads * ROW);
    let head = i / ROW % params.numKvHeads;
    let h = i % ROW;
    let source = dot(vec3u(batch, head, token), params.newStride);
    let row = (batch * params.numKvHeads + head) * params.capacity + (length + token) % params.capacity;
    if (h < HEAD_DIM) {
      k[row * HEAD_DIM + h] = kNew[source * HEAD_DIM + h];
    } else {
      v[row * VALUE_DIM + h - HEAD_DIM] = vNew[source * VALUE_DIM + h - HEAD_DIM];
    }
  }

  // The last workgroup to arrive moves the length: by then every other one has read it.
  if (lane == 0u && atomicAdd(&arrivals[batch], 1u) == numWorkgroups.x - 1u) {
    atomicStore(&arrivals[batch], 0u);
    atomicStore(&lengths[batch], length + params.seqLen);
  }
}
