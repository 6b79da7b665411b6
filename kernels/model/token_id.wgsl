// token_id: the token of a row.

// variant given: as the host, or the step before, wrote it.
//
//   tokens  [S]  u32  read
var<storage, read> tokens: array<u32>;

fn tokenIdOf(row: u32) -> u32 {
  return tokens[row];
}

// variant newest: tokens from NEWEST on are those that were chosen last for a sequence, which the host need not know.
//
//   tokens  [S]          u32  read
//   newest  [sequences]  u32  read
var<storage, read> tokens: array<u32>;
var<storage, read> newest: array<u32>;

const NEWEST = 0x80000000u;

fn tokenIdOf(row: u32) -> u32 {
  let token = tokens[row];
  return select(token, newest[token - NEWEST], token >= NEWEST);
}
