// numbers: the LOAD_PACKS packs that one load of stored numbers brings.

// variant packs: a load is one pack of the stored type.
//
// Needs pack, LOAD_PACKS, Stored.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(Wide(x));
}

// variant f16_u32: a load is four integers of 32 bits, which hold eight numbers of 16.
//
// Needs pack, LOAD_PACKS, Stored.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  return array<Wide, LOAD_PACKS>(
    vec4f(unpack2x16float(x.x), unpack2x16float(x.y)),
    vec4f(unpack2x16float(x.z), unpack2x16float(x.w)),
  );
}

// variant f16_u64: a load is two integers of 64 bits, which hold eight numbers of 16.
//
// Needs pack, LOAD_PACKS, Stored.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  let low = vec2u(x);
  let high = vec2u(x >> vec2u(32u));
  return array<Wide, LOAD_PACKS>(
    vec4f(unpack2x16float(low.x), unpack2x16float(high.x)),
    vec4f(unpack2x16float(low.y), unpack2x16float(high.y)),
  );
}

// variant f32_u64: a load is four integers of 64 bits, which hold eight numbers of 32.
//
// Needs pack, LOAD_PACKS, Stored.
fn numbersOf(x: Stored) -> array<Wide, LOAD_PACKS> {
  let low = vec4u(x);
  let high = vec4u(x >> vec4<u32>(32u));
  return array<Wide, LOAD_PACKS>(
    bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y)),
    bitcast<vec4f>(vec4u(low.z, high.z, low.w, high.w)),
  );
}
