// new_tokens: the tokens by which the sequences of a cache grow in a step, laid end to end in the order of the sequences.
//
//   newTokens  [B + 1 + B]  u32  read  the row at which those of each sequence begin, and the end of all; then the position
//                                      in its sequence of the first of them
var<storage, read> newTokens: array<u32>;

fn numSequences() -> u32 {
  return arrayLength(&newTokens) / 2u;
}

// The row of a sequence's first new token, or for the number of sequences, of the end.
fn startOf(sequence: u32) -> u32 {
  return newTokens[sequence];
}

fn numNewTokens() -> u32 {
  return startOf(numSequences());
}

fn countOfNew(sequence: u32) -> u32 {
  return startOf(sequence + 1u) - startOf(sequence);
}

fn firstPosition(sequence: u32) -> u32 {
  return newTokens[numSequences() + 1u + sequence];
}

// Sequences share out places, such as rows or tiles of rows: those of a sequence begin at
// start of the sequence x scale.x / scale.y + sequence x scale.z.
fn firstPlace(sequence: u32, scale: vec3u) -> u32 {
  return startOf(sequence) * scale.x / scale.y + sequence * scale.z;
}

// The sequence of a place: the last one whose places begin no later.
fn sequenceAt(place: u32, scale: vec3u) -> u32 {
  var sequence = 0u;
  var end = numSequences();
  while (end - sequence > 1u) {
    let middle = (sequence + end) / 2u;
    if (firstPlace(middle, scale) <= place) {
      sequence = middle;
    } else {
      end = middle;
    }
  }
  return sequence;
}

// The sequence of a row.
fn sequenceOfRow(row: u32) -> u32 {
  return sequenceAt(row, vec3u(1u, 1u, 0u));
}

// The position of a row's token in its sequence.
fn positionOfRow(sequence: u32, row: u32) -> u32 {
  return firstPosition(sequence) + row - startOf(sequence);
}
