// pair_f32_u64: eight numbers of 32 bits in a load of four integers of 64.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  let low = vec4u(x);
  let high = vec4u(x >> vec4<u32>(32u));
  return array<Wide, LOAD_PACKS>(
    bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y)),
    bitcast<vec4f>(vec4u(low.z, high.z, low.w, high.w)),
  );
}
