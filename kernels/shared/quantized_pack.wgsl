// quantized_pack: the integers of a pack, from the word of their row that has them.
//
// Moves the bits of an integer to the top of a word and back down, which brings its sign along.
fn integersOf(word: u32, pack: u32) -> Wide {
  let above = 32u - BITS - BITS * (pack * PACK % PER_WORD + WITHIN_PACK);
  return Wide(bitcast<WideInt>(WideUint(word) << above) >> WideUint(32u - BITS));
}
