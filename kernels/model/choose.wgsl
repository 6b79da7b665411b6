// choose: the next token is written where the model reads it, and to the list of chosen tokens.
//
//   tokens  [1]           u32  write
//   chosen  [1 + tokens]  u32  read, write   their number, then the tokens
var<storage, read_write> tokens: array<u32>;
var<storage, read_write> chosen: array<u32>;

// Chosen where a logit is NaN, so that the host finds out.
const NOTHING = 0xffffffffu;

fn isNan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}

fn choose(token: u32) {
  tokens[0] = token;
  chosen[0] += 1u;
  chosen[chosen[0]] = token;
}
