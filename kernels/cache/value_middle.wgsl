// value_middle: the number that each element of a stored value has besides the product of its step and its integer.

// variant added: integers are about the middle of their row.
//
// Needs quantized_row, valueWord.
fn valueMiddle(value: u32) -> f32 {
  return middleOf(valueWord(value));
}

// variant of_key: a value is the beginning of its key.
//
// Needs key_middle.
fn valueMiddle(value: u32) -> f32 {
  return keyMiddle(value);
}

// variant none: integers are about 0, or there are none.
fn valueMiddle(value: u32) -> f32 {
  return 0.0;
}
