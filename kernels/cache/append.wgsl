// append: new keys and values enter a cache.
//
// new_rows declares the tensors that are read and written.
//
// Grid: (rows, batch), for each part of the cache; tokens that lie end to end are one batch. A workgroup owns rows of K and of
// V, the grid's width apart. Heads are numbered as in [B, numKvHeads]; those of pages, which all sequences share, as in
// [numKvHeads].
//
// Needs arrival, new_rows, slot_row, store, COUNT_VECTORS, WORKGROUP.
struct Params {
  // Rows of H (or of VALUE_DIM) from one batch, head and token to the next in the new tensors.
  newStride: vec3u,
  numKvHeads: u32,
  // Heads of the part: from the first up to, but not including, the end.
  firstHead: u32,
  endHead: u32,
  // Heads from one sequence to the next.
  batchHeads: u32,
  // Slots of a head of one sequence; pages of a head.
  capacity: u32,
  // 1 for the last part, which moves the lengths; 0 for the others.
  advance: u32,
  // Number of new tokens that each sequence takes, four to a vector.
  counts: array<vec4u, COUNT_VECTORS>,
}

var<uniform> params: Params;

// A row of kNew or of vNew and the position of its token.
struct NewRow {
  isKey: bool,
  kvHead: u32,
  index: u32,
  position: u32,
}

// The new tokens of a line of the grid.
struct Arrival {
  // Position of the first, where they are those of one sequence.
  first: u32,
  count: u32,
}

// Where a new token lies.
struct Place {
  sequence: u32,
  position: u32,
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroupId: vec3u,
  @builtin(num_workgroups) numWorkgroups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let batch = workgroupId.y;
  let arrival = arrivalOf(batch, lane);
  let batchHead = batch * params.batchHeads;
  let firstHead = clamp(params.firstHead, batchHead, batchHead + params.numKvHeads);
  let numHeads = clamp(params.endHead, batchHead, batchHead + params.numKvHeads) - firstHead;

  let count = arrival.count * numHeads * ROWS_OF_TOKEN;
  for (var i = workgroupId.x; i < count; i += numWorkgroups.x) {
    let head = firstHead + i / ROWS_OF_TOKEN % numHeads;
    let token = i / ROWS_OF_TOKEN / numHeads;
    let place = placeOfToken(batch, arrival, token);
    let kvHead = head - batchHead;
    let index = dot(vec3u(batch, kvHead, token), params.newStride);
    let row = NewRow(i % ROWS_OF_TOKEN == 0u, kvHead, index, place.position);
    store(row, slotRow(place, head - params.firstHead), lane);
  }
  leave(batch, arrival, lane, numWorkgroups.x);
}
