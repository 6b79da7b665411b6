// sequences: how many tokens the sequence of a query row has, and where its queries lie.

// variant padded: each sequence has params.seqLen queries.
//
// Needs context, lengths, params.
fn contextOf(batch: u32) -> Context {
  let end = lengthOf(batch);
  return contextUpTo(batch, end, i32(select(0u, end, params.isFromEnd == 1u)) + params.firstQuery);
}

fn contextOfRow(row: u32) -> Context {
  return contextOf(batchOf(row));
}

// variant ragged: the queries of a sequence are its new tokens, and tokens are counted over all sequences.
//
// Needs context, new_tokens, params.
fn contextOf(sequence: u32) -> Context {
  let first = firstPosition(sequence);
  return contextUpTo(sequence, first + countOfNew(sequence), i32(first) - i32(startOf(sequence)));
}

fn contextOfRow(row: u32) -> Context {
  return contextOf(sequenceOfRow(tokenOf(row)));
}
