// stored_pack: a pack of f32 as a tensor holds it.

// variant same: as kernels compute with it.
//
// Needs pack.
alias StoredPack = Wide;

fn packOf(stored: StoredPack) -> Wide {
  return stored;
}

fn storedOf(x: Wide) -> StoredPack {
  return x;
}

// variant u64: as two integers of 64 bits, which software drivers load and store as fast as two numbers.
//
// Needs pack.
alias StoredPack = vec2<u64>;

fn packOf(stored: StoredPack) -> Wide {
  let low = vec2u(stored);
  let high = vec2u(stored >> vec2u(32u));
  return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
}

fn storedOf(x: Wide) -> StoredPack {
  let bits = bitcast<vec4u>(x);
  return vec2<u64>(bits.xz) | (vec2<u64>(bits.yw) << vec2u(32u));
}
