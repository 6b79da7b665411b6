// choose: the next token of a sequence is written where the model reads it, and to those that the host reads.
//
//   lengths  [sequences]        u32  read   tokens so far: the position of the next one
//   tokens   [sequences]        u32  write
//   chosen   [sequences, kept]  u32  write  the token at a position is at position mod kept
//
// Needs params.
var<storage, read> lengths: array<u32>;
var<storage, read_write> tokens: array<u32>;
var<storage, read_write> chosen: array<u32>;

fn choose(sequence: u32, token: u32) {
  tokens[sequence] = token;
  chosen[sequence * params.kept + lengths[sequence] % params.kept] = token;
}
