// blocks: the state of each block of a mask, MASK_TOKENS new tokens by MASK_COLUMNS columns, for one query head or, where
// MASK_IS_PER_HEAD is 0, for all of them.
//
//   blocks  [B + B x heads x token blocks x column blocks]  u32  (read, write or read)  lengths, then states
//
// A length is that of the sequence as its blocks were computed: they hold for no other. Memory that nothing was written to
// says SOME, and that is always right.
//
// Needs MASK_COLUMNS, MASK_IS_PER_HEAD, MASK_TOKENS, params.

// Some pairs may be seen; none is seen; all are seen that causal and windows let a query see.
const SOME = 0u;
const NONE = 1u;
const ALL = 2u;

fn numBlocks(count: u32, size: u32) -> u32 {
  return (count + size - 1u) / size;
}

// The place of the first block of some tokens; those of the next columns lie behind it.
fn placeOfBlocks(batch: u32, head: u32, tokenBlock: u32) -> u32 {
  let batches = params.numRows / (params.numHeads * params.seqLen);
  let row = select(batch, batch * params.numHeads + head, MASK_IS_PER_HEAD == 1u);
  let tokenBlocks = numBlocks(params.seqLen, MASK_TOKENS);
  return batches + (row * tokenBlocks + tokenBlock) * numBlocks(params.contextLen, MASK_COLUMNS);
}
