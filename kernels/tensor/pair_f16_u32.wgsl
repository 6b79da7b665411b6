// pair_f16_u32: eight numbers of 16 bits in a load of four integers of 32.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(
    vec4f(unpack2x16float(x.x), unpack2x16float(x.y)),
    vec4f(unpack2x16float(x.z), unpack2x16float(x.w)),
  );
}
