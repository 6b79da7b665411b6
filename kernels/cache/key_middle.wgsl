// key_middle: the number that each element of a stored key has besides the product of its step and its integer.

// variant added: integers are about the middle of their row.
//
// Needs key_words, quantized_row.
fn keyMiddle(key: u32) -> f32 {
  return middleOf(keyWord(key));
}

// variant none: integers are about 0, or there are none.
fn keyMiddle(key: u32) -> f32 {
  return 0.0;
}
