// append: new keys and values into the ring, and the length after them.
//
//   slot(i) = (lengths[b] + i) mod capacity
//
//   kNew     [B, S, numKvHeads, H]             T    read   (or [B, numKvHeads, S, H]: newStride)
//   vNew     [B, S, numKvHeads, VALUE_DIM]     T    read
//   k        [heads of the part, capacity, H]  T    write
//   v        [heads of the part, capacity, VALUE_DIM]  T  write
//   lengths  [B]  u32  read, write
//   arrivals [B]  u32  read, write  zero between dispatches
//
// Grid: (blocks of elements, batch), for each part of the cache. An invocation copies elements of K and V, the grid's width
// apart. Heads are numbered as in [B, numKvHeads].
struct Params {
  // Rows of H (or of VALUE_DIM) from one batch, head and token to the next in the new tensors.
  newStride: vec3u,
  numKvHeads: u32,
  // Heads of the part: from the first up to, but not including, the end.
  firstHead: u32,
  endHead: u32,
  capacity: u32,
  // 1 for the last part, which moves the lengths; 0 for the others.
  advance: u32,
  // How many of the new tokens each sequence takes, four to a vector.
  counts: array<vec4u, COUNT_VECTORS>,
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

  let numTokens = params.counts[batch / 4u][batch % 4u];
  let batchHead = batch * params.numKvHeads;
  let firstHead = clamp(params.firstHead, batchHead, batchHead + params.numKvHeads);
  let numHeads = clamp(params.endHead, batchHead, batchHead + params.numKvHeads) - firstHead;

  let count = numTokens * numHeads * ROW;
  for (var i = workgroupId.x * WORKGROUP + lane; i < count; i += numWorkgroups.x * WORKGROUP) {
    let token = i / (numHeads * ROW);
    let head = firstHead + i / ROW % numHeads;
    let h = i % ROW;
    let source = dot(vec3u(batch, head - batchHead, token), params.newStride);
    let row = (head - params.firstHead) * params.capacity + (length + token) % params.capacity;
    if (h < HEAD_DIM) {
      k[row * HEAD_DIM + h] = kNew[source * HEAD_DIM + h];
    } else {
      v[row * VALUE_DIM + h - HEAD_DIM] = vNew[source * VALUE_DIM + h - HEAD_DIM];
    }
  }

  // The last workgroup to arrive moves the length: by then every other one has read it.
  if (lane == 0u && atomicAdd(&arrivals[batch], 1u) == numWorkgroups.x - 1u) {
    atomicStore(&arrivals[batch], 0u);
    atomicStore(&lengths[batch], length + numTokens * params.advance);
  }
}
