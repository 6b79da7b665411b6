// choose: the next token is written to where the model reads it, and to the list of those that were chosen.
//
//   tokens  [1]  u32  write
//   chosen       u32  read, write
struct Chosen {
  count: u32,
  tokens: array<u32>,
}

@group(0) @binding(2) var<storage, read_write> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> chosen: Chosen;

// What is chosen where a logit is NaN, so that the host finds out.
const NOTHING = 0xffffffffu;

fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn choose(token: u32) {
  tokens[0] = token;
  chosen.tokens[chosen.count] = token;
  chosen.count += 1u;
}
