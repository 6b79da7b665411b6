// pair_f16_u64: eight numbers of 16 bits in a load of two integers of 64.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  let low = vec2u(x);
  let high = vec2u(x >> vec2u(32u));
  return array<Wide, LOAD_PACKS>(
    vec4f(unpack2x16float(low.x), unpack2x16float(high.x)),
    vec4f(unpack2x16float(low.y), unpack2x16float(high.y)),
  );
}
