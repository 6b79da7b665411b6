// quantized_row: a row of numbers is stored as integers of BITS bits and their step.
//
//   x ~ step n    step = max |x| / LARGEST    n = round(x / step)
//   row = [step (f32), words of PER_WORD integers each, from the lowest bits up]
//
// Needs BITS.
const PER_WORD = 32u / BITS;
const LARGEST = f32((1u << (BITS - 1u)) - 1u);

fn wordsOf(size: u32) -> u32 {
  return 1u + (size + PER_WORD - 1u) / PER_WORD;
}
