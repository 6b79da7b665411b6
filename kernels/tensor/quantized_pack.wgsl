// quantized_pack: the integers of a pack are taken from the words of their row.

// variant of_word: a load is a word, or a part of one.
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

// variant of_words: a load is LOAD_PACKS words, each a pack, from integers of 64 bits.
//
// A row begins at any word, so that the words of a load lie in one integer more than half their number.
//
// Needs pack, BITS, LOAD_PACKS.
alias LongWords = array<u64, LOAD_PACKS / 2u + 1u>;

// The word of that index, which is half of the integer.
fn wordOf(index: u32, long: u64) -> u32 {
  return select(u32(long), u32(long >> 32u), index % 2u == 1u);
}

// The integers of the words from that index on, the first of which is half of the first long one.
fn integersOf(index: u32, long: LongWords) -> array<Wide, LOAD_PACKS> {
  var integers: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    let word = wordOf(index + p, select(long[p / 2u], long[(p + 1u) / 2u], index % 2u == 1u));
    integers[p] = Wide(integersFrom(bitcast<i32>(word), 0u, BITS));
  }
  return integers;
}
