// rope: rotary position embedding of an element of a row (RoFormer: Su et al. 2021, arXiv 2104.09864).

// variant applied: the pairs among ROPE_DIMS elements from ROPE_FIRST on turn with the position of the row.
//
//   x' = f (x cos a - y sin a)    y' = f (y cos a + x sin a)    a = position x frequency
//
//   ropeTable  [ROPE_DIMS / 2]  RopePair  read
//
// Needs ROPE_DIMS, ROPE_FIRST, ROPE_PARTNER.
struct RopePair {
  // Frequency in turns per position, modulo 1, in parts of 2^32 and of 2^64.
  frequency: vec2u,
  // f
  factor: f32,
}

var<storage, read> ropeTable: array<RopePair>;

// The elements of a pair are ROPE_PARTNER apart: half of ROPE_DIMS, or 1.
fn firstOfPair(pair: u32) -> u32 {
  return ROPE_FIRST + pair / ROPE_PARTNER * ROPE_PARTNER * 2u + pair % ROPE_PARTNER;
}

fn pairOf(h: u32) -> u32 {
  return (h - ROPE_FIRST) / (ROPE_PARTNER * 2u) * ROPE_PARTNER + (h - ROPE_FIRST) % ROPE_PARTNER;
}

fn isFirstOfPair(h: u32) -> bool {
  return (h - ROPE_FIRST) / ROPE_PARTNER % 2u == 0u;
}

// An element before the first wraps to a large number.
fn isRoped(h: u32) -> bool {
  return h - ROPE_FIRST < ROPE_DIMS;
}

fn partnerOf(h: u32) -> u32 {
  return select(h, select(h - ROPE_PARTNER, h + ROPE_PARTNER, isFirstOfPair(h)), isRoped(h));
}

// f cos a and f sin a. Integers keep an angle modulo a turn exact at large positions, where f32 would lose it.
fn ropeOf(position: u32, pair: u32) -> vec2f {
  let entry = ropeTable[pair];
  let turn = position * entry.frequency.x + mulHigh(position, entry.frequency.y);
  return entry.factor * cosSin(turn);
}

// The element h of a row at a position, from itself and its partner.
fn roped(own: f32, partner: f32, position: u32, h: u32) -> f32 {
  if (!isRoped(h)) {
    return own;
  }
  let rope = ropeOf(position, pairOf(h));
  return own * rope.x + select(partner, -partner, isFirstOfPair(h)) * rope.y;
}

// The upper half of a product of 64 bits, or up to 2 less.
fn mulHigh(a: u32, b: u32) -> u32 {
  let a1 = a >> 16u;
  let b1 = b >> 16u;
  return a1 * b1 + ((a1 * (b & 0xffffu)) >> 16u) + (((a & 0xffffu) * b1) >> 16u);
}

// cos and sin of an angle in parts of 2^32 of a turn, by their series within an eighth of a turn: WGSL's own may be off by
// 2^-11.
fn cosSin(turn: u32) -> vec2f {
  let quarter = (turn + (1u << 29u)) >> 30u;
  let x = f32(bitcast<i32>(turn - (quarter << 30u))) * (6.283185307179586 / 4294967296.0);
  let z = x * x;
  let c = 1.0 + z * (-1.0 / 2.0 + z * (1.0 / 24.0 + z * (-1.0 / 720.0 + z * (1.0 / 40320.0))));
  let s = x + x * z * (-1.0 / 6.0 + z * (1.0 / 120.0 + z * (-1.0 / 5040.0 + z * (1.0 / 362880.0))));
  let within = select(vec2f(c, s), vec2f(-s, c), quarter % 2u == 1u);
  return select(within, -within, quarter >= 2u);
}

// variant none: a row stays as it is.
fn partnerOf(h: u32) -> u32 {
  return h;
}

fn roped(own: f32, partner: f32, position: u32, h: u32) -> f32 {
  return own;
}
