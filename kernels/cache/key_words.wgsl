// key_words: the words of stored keys, and the integers that a load of them brings. Those of values are read alike, under other
// names.

// variant single: words are loaded one at a time.
//
// Needs pack, quantized_pack, quantized_row, LOAD_PACKS, k.
fn keyWord(index: u32) -> u32 {
  return k[index];
}

fn keyIntegers(key: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let word = keyWord(key + 1u + load * LOAD_PACKS * PACK / PER_WORD);
  var integers: array<Wide, LOAD_PACKS>;
  /*unroll*/ for (var p = 0u; p < LOAD_PACKS; p++) {
    integers[p] = integersOf(word, packInWord(load, p));
  }
  return integers;
}

// variant long: words are halves of integers of 64 bits, which bring LOAD_PACKS of them, each a pack, at the price of half.
//
// Needs pack, quantized_pack, LOAD_PACKS, k.
fn keyWord(index: u32) -> u32 {
  return wordOf(index, k[index / 2u]);
}

fn keyIntegers(key: u32, load: u32) -> array<Wide, LOAD_PACKS> {
  let first = key + 1u + load * LOAD_PACKS;
  var long: LongWords;
  /*unroll*/ for (var i = 0u; i < LOAD_PACKS / 2u + 1u; i++) {
    long[i] = k[first / 2u + i];
  }
  return integersOf(first, long);
}
