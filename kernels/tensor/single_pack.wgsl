// single_pack: a pack of numbers in each load, as it is stored.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(Wide(x));
}
