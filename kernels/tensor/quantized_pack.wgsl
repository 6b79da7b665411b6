// quantized_pack: the integers of a pack are taken from the word of their row.
//
// Needs pack, quantized_row, BITS, LOAD_PACKS.
fn integersOf(word: u32, pack: u32) -> Wide {
  return Wide(integersFrom(bitcast<i32>(word), pack * PACK * BITS, BITS));
}

// The place in its word of the p-th pack of a load. Where a load brings a whole word, the place does not depend on the load,
// and compilers see that.
fn packInWord(load: u32, p: u32) -> u32 {
  return load % (PER_WORD / (LOAD_PACKS * PACK)) * LOAD_PACKS + p;
}
