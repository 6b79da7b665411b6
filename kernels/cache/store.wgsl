// store: a workgroup writes a new row of keys or values as its storage has it.

// variant numbers: the row is stored as numbers.
//
// Needs append, new_rows, Stored, WORKGROUP.
fn store(row: NewRow, storedRow: u32, lane: u32) {
  let size = sizeOf(row);
  for (var h = lane; h < size; h += WORKGROUP) {
    storeElement(row, storedRow * size + h, Stored(elementOf(row, h)));
  }
}

// variant quantized: the row is stored as integers and their step.
//
// A row with an infinity or a NaN has the step NaN, so that all of it reads as NaN; a row of numbers too small for a step
// (below 1.5e-36) has the step 0.
//
// Needs append, new_rows, quantized_row, row_transform, BITS, WORKGROUP.
const LEAST_STEP = 1.1754943508222875e-38;
// The largest number that a step is made of: a step of the largest f32 may be rounded up, and leave the range.
const MOST = 3.4028e38;
const NAN_BITS = 0x7fc00000u;
const INFINITY_BITS = 0x7f800000u;

// Bits of |x|: as integers they are in the order of the numbers, then infinity, then NaN.
var<workgroup> largest: atomic<u32>;

fn store(row: NewRow, storedRow: u32, lane: u32) {
  if (lane == 0u) {
    atomicStore(&largest, 0u);
  }
  stageRow(row, lane);
  workgroupBarrier();
  let size = sizeOf(row);
  var own = 0u;
  for (var h = lane; h < size; h += WORKGROUP) {
    own = max(own, bitcast<u32>(transformedOf(row, h)) & 0x7fffffffu);
  }
  atomicMax(&largest, own);
  workgroupBarrier();

  let largestBits = atomicLoad(&largest);
  let step = min(bitcast<f32>(largestBits), MOST) / LARGEST;
  let isFinite = largestBits < INFINITY_BITS;
  let hasStep = isFinite && step >= LEAST_STEP;
  let base = storedRow * wordsOf(size);
  if (lane == 0u) {
    storeElement(row, base, select(select(NAN_BITS, 0u, isFinite), bitcast<u32>(step), hasStep));
  }
  for (var word = lane; word < wordsOf(size) - 1u; word += WORKGROUP) {
    var packed = 0u;
    for (var i = 0u; i < PER_WORD; i++) {
      let h = word * PER_WORD + i;
      if (hasStep && h < size) {
        let n = clamp(round(transformedOf(row, h) / step), -LARGEST, LARGEST);
        packed = insertBits(packed, bitcast<u32>(i32(n)), i * BITS, BITS);
      }
    }
    storeElement(row, base + 1u + word, packed);
  }
  workgroupBarrier();
}
