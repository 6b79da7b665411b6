// count: the chosen tokens of sequences with penalties are counted.
//
//   tokens  [sequences]         u32  read
//   counts  [sequences, VOCAB]  u32  read, write  how often a token was generated
//   and what sampling reads
//
// Grid: (blocks of rows). An invocation owns a row.
//
// Needs sampling, VOCAB, WORKGROUP.
var<storage, read> tokens: array<u32>;
var<storage, read_write> counts: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= arrayLength(&rowSequences) || rowSequences[id.x] == NO_SEQUENCE) {
    return;
  }
  let sequence = rowSequences[id.x];
  let token = tokens[sequence];
  if (samplings[sequence].isAdjusted != 0u && token < VOCAB) {
    counts[sequence * VOCAB + token] += 1u;
  }
}
