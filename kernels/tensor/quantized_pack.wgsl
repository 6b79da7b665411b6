// quantized_pack: the integers of a pack, from the word of their row that has them.
fn integersOf(word: u32, pack: u32) -> Wide {
  return Wide(integersFrom(bitcast<i32>(word), pack * PACK * BITS, BITS));
}

// Which pack of its word the p-th of a load is. Where a load brings a whole word, this does not depend on the load, and
// compilers see it.
fn packInWord(load: u32, p: u32) -> u32 {
  return load % (PER_WORD / (LOAD_PACKS * PACK)) * LOAD_PACKS + p;
}
