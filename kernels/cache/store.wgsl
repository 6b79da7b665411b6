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

// variant symmetric: the row is stored as integers about 0 and their step.
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

// variant asymmetric: the row is stored as integers between its least and its largest element.
//
// The least is rounded down and the step up, to the upper half of an f32. A row with an infinity or a NaN has the step NaN, so
// that all of it reads as NaN; one whose numbers differ too little for a step (by less than 1.8e-37) has the step 0.
//
// Needs append, new_rows, quantized_row, row_transform, BITS, WORKGROUP.
const LEAST_STEP = 1.1754943508222875e-38;
// The magnitude that numbers are cut to, as what they are rounded to must not leave the range.
const MOST = 3.2e38;
const NAN_BITS = 0x7fc00000u;
const INFINITY_BITS = 0x7f800000u;

// Bits of |x|, and bits of x as integers in the order of the numbers.
var<workgroup> largest: atomic<u32>;
var<workgroup> least: atomic<i32>;
var<workgroup> most: atomic<i32>;

fn store(row: NewRow, storedRow: u32, lane: u32) {
  if (lane == 0u) {
    atomicStore(&largest, 0u);
    atomicStore(&least, 0x7fffffff);
    atomicStore(&most, -0x7fffffff);
  }
  stageRow(row, lane);
  workgroupBarrier();
  let size = sizeOf(row);
  for (var h = lane; h < size; h += WORKGROUP) {
    let x = transformedOf(row, h);
    atomicMax(&largest, bitcast<u32>(x) & 0x7fffffffu);
    let ordered = inOrder(bitcast<i32>(clamp(x, -MOST, MOST)));
    atomicMin(&least, ordered);
    atomicMax(&most, ordered);
  }
  workgroupBarrier();

  let isFinite = atomicLoad(&largest) < INFINITY_BITS;
  let lowest = bitcast<u32>(inOrder(atomicLoad(&least)));
  // Down is away from zero where a number is below it.
  let low = bitcast<f32>((lowest + select(0u, 0xffffu, (lowest >> 31u) == 1u)) & 0xffff0000u);
  let high = bitcast<f32>(inOrder(atomicLoad(&most)));
  // Parts of either, as their difference may leave the range.
  let exact = high / (2.0 * HALF - 1.0) - low / (2.0 * HALF - 1.0);
  let step = bitcast<f32>((bitcast<u32>(max(exact, 0.0)) + 0xffffu) & 0xffff0000u);
  let hasStep = isFinite && step >= LEAST_STEP;
  let base = storedRow * wordsOf(size);
  if (lane == 0u) {
    let stepBits = select(select(NAN_BITS, 0u, isFinite), bitcast<u32>(step), hasStep);
    storeElement(row, base, stepBits | (bitcast<u32>(low) >> 16u));
  }
  for (var word = lane; word < wordsOf(size) - 1u; word += WORKGROUP) {
    var packed = 0u;
    for (var i = 0u; i < PER_WORD; i++) {
      let h = word * PER_WORD + i;
      if (hasStep && h < size) {
        // Halves, as a difference may leave the range.
        let steps = (0.5 * transformedOf(row, h) - 0.5 * low) / step * 2.0;
        let n = clamp(round(steps) - HALF, -HALF, HALF - 1.0);
        packed = insertBits(packed, bitcast<u32>(i32(n)), i * BITS, BITS);
      }
    }
    storeElement(row, base + 1u + word, packed);
  }
  workgroupBarrier();
}

// Numbers below zero are in the order of their bits turned round; its own inverse.
fn inOrder(bits: i32) -> i32 {
  return select(bits, bits ^ 0x7fffffff, bits < 0);
}
