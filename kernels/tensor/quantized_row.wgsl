// quantized_row: a row of numbers is stored as integers of BITS bits behind one word, from the lowest bits up.

// variant symmetric: the word is their step.
//
//   x ~ step n    step = max |x| / LARGEST    n = round(x / step)
//
// Needs BITS.
const PER_WORD = 32u / BITS;
const LARGEST = f32((1u << (BITS - 1u)) - 1u);

fn wordsOf(size: u32) -> u32 {
  return 1u + (size + PER_WORD - 1u) / PER_WORD;
}

fn stepOf(word: u32) -> f32 {
  return bitcast<f32>(word);
}

// variant asymmetric: the word is their step and the least number that they stand for, each the upper half of an f32.
//
//   x ~ least + step (n + HALF)    n = round((x - least) / step) - HALF
//
// Needs BITS.
const PER_WORD = 32u / BITS;
const HALF = f32(1u << (BITS - 1u));

fn wordsOf(size: u32) -> u32 {
  return 1u + (size + PER_WORD - 1u) / PER_WORD;
}

fn stepOf(word: u32) -> f32 {
  return bitcast<f32>(word & 0xffff0000u);
}

fn leastOf(word: u32) -> f32 {
  return bitcast<f32>(word << 16u);
}

// The number that the integer 0 stands for.
fn middleOf(word: u32) -> f32 {
  return fma(HALF, stepOf(word), leastOf(word));
}
