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
// Lanes lay CANDIDATES grids under the row, each of which begins up to 3/4 of a step below the least element and is up to 15 %
// wider than the row, and fit their steps to the elements; the row takes the grid of the smallest squared error.
// So four bits lose less where elements are few: some grid meets most of them. The least is rounded down to the upper half
// of an f32, the step to the nearest. A row with an infinity or a NaN has the step NaN, so that all of it reads as NaN; one
// whose numbers differ too little for a step (by less than 1.8e-37) has the step 0.
//
// Needs append, new_rows, quantized_row, row_transform, BITS, WORKGROUP.
const LEAST_STEP = 1.1754943508222875e-38;
// The magnitude that numbers are cut to, as what they are rounded to must not leave the range.
const MOST = 2.9e38;
const NAN_BITS = 0x7fc00000u;
const INFINITY_BITS = 0x7f800000u;
// The largest integer, counted from 0.
const TOP = 2.0 * HALF - 1.0;
const CANDIDATES = 16u;

// Integers stand for least + step n.
struct Grid {
  least: f32,
  step: f32,
}

// Bits of |x|, and bits of x as integers in the order of the numbers.
var<workgroup> largest: atomic<u32>;
var<workgroup> least: atomic<i32>;
var<workgroup> most: atomic<i32>;

// The smallest error, in whose lowest bits its candidate stands.
var<workgroup> smallestError: atomic<u32>;
var<workgroup> chosen: Grid;

fn store(row: NewRow, storedRow: u32, lane: u32) {
  if (lane == 0u) {
    atomicStore(&largest, 0u);
    atomicStore(&least, 0x7fffffff);
    atomicStore(&most, -0x7fffffff);
    atomicStore(&smallestError, 0xffffffffu);
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
  let low = roundedDown(bitcast<f32>(inOrder(atomicLoad(&least))));
  let high = bitcast<f32>(inOrder(atomicLoad(&most)));
  // The step of the plain grid; parts of either, as their difference may leave the range.
  let unit = high / TOP - low / TOP;
  let hasStep = isFinite && unit >= LEAST_STEP;
  var grid = Grid(low, unit);
  var ownError = 0xffffffffu;
  for (var candidate = lane; hasStep && candidate < CANDIDATES; candidate += WORKGROUP) {
    let start = roundedDown(low - 0.25 * f32(candidate % 4u) * unit);
    let fit = fittedStep(row, size, start, unit, high, 1.0 + 0.05 * f32(candidate / 4u));
    let error = (bitcast<u32>(max(fit.error, 0.0)) & ~(CANDIDATES - 1u)) | candidate;
    if (error < ownError) {
      ownError = error;
      // A fitted step may be less than the plain one, and must not leave the normal numbers.
      grid = Grid(start, max(rounded(fit.step * unit), LEAST_STEP));
    }
  }
  atomicMin(&smallestError, ownError);
  workgroupBarrier();
  if (hasStep && ownError == atomicLoad(&smallestError)) {
    chosen = grid;
  }
  workgroupBarrier();
  grid = chosen;

  let base = storedRow * wordsOf(size);
  if (lane == 0u) {
    let stepBits = select(select(NAN_BITS, 0u, isFinite), bitcast<u32>(grid.step), hasStep);
    storeElement(row, base, stepBits | (bitcast<u32>(select(low, grid.least, hasStep)) >> 16u));
  }
  for (var word = lane; word < wordsOf(size) - 1u; word += WORKGROUP) {
    var packed = 0u;
    for (var i = 0u; i < PER_WORD; i++) {
      let h = word * PER_WORD + i;
      if (hasStep && h < size) {
        let n = nearestOf(stepsFrom(transformedOf(row, h), grid.least, grid.step)) - HALF;
        packed = insertBits(packed, bitcast<u32>(i32(n)), i * BITS, BITS);
      }
    }
    storeElement(row, base + 1u + word, packed);
  }
  workgroupBarrier();
}

// A step in units of the plain one, and the squared error of the row by it.
struct Fit {
  step: f32,
  error: f32,
}

// The step of least squares for the integers that a grid of `width` gives the row.
//
//   step = sum t n / sum n^2    t = (x - least) / unit    n = round(t / (width top / TOP))
fn fittedStep(row: NewRow, size: u32, least: f32, unit: f32, high: f32, width: f32) -> Fit {
  let plain = stepsFrom(high, least, unit) / TOP;
  var squares = vec3f();
  for (var h = 0u; h < size; h++) {
    let t = stepsFrom(transformedOf(row, h), least, unit);
    let n = nearestOf(t / (plain * width));
    squares += vec3f(t * t, t * n, n * n);
  }
  // Within these bounds no element is off by more than half a step, that of 20 % more than the plain one at most.
  let step = clamp(squares.y / squares.z, plain * TOP / (TOP + 0.4), 1.2 * plain);
  return Fit(step, squares.x - 2.0 * step * squares.y + step * step * squares.z);
}

// Halves, as a difference may leave the range.
fn stepsFrom(x: f32, least: f32, step: f32) -> f32 {
  return (0.5 * x - 0.5 * least) / step * 2.0;
}

fn nearestOf(steps: f32) -> f32 {
  return clamp(round(steps), 0.0, TOP);
}

// Down is away from zero where a number is below it.
fn roundedDown(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  return bitcast<f32>((bits + select(0u, 0xffffu, (bits >> 31u) == 1u)) & 0xffff0000u);
}

fn rounded(x: f32) -> f32 {
  return bitcast<f32>((bitcast<u32>(x) + 0x7fffu) & 0xffff0000u);
}

// Numbers below zero are in the order of their bits turned round; its own inverse.
fn inOrder(bits: i32) -> i32 {
  return select(bits, bits ^ 0x7fffffff, bits < 0);
}
