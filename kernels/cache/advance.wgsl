// advance: the lengths of sequences grow by their new tokens, which every layer appends after it.
//
//   newTokens  [B + 1 + B]  u32  read, write  new_tokens has its parts; the starts are there, the positions are written
//   lengths    [B]          u32  read, write
//
// Grid: (blocks of sequences). An invocation owns a sequence.
//
// Needs WORKGROUP.
var<storage, read_write> newTokens: array<u32>;
var<storage, read_write> lengths: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) invocation: vec3u) {
  let sequence = invocation.x;
  let numSequences = arrayLength(&lengths);
  if (sequence < numSequences) {
    newTokens[numSequences + 1u + sequence] = lengths[sequence];
    lengths[sequence] += newTokens[sequence + 1u] - newTokens[sequence];
  }
}
