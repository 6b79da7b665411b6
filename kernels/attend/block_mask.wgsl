// block_mask: the states of the blocks of a mask (FlexAttention: Dong et al. 2024, arXiv 2412.05496).
//
//   lengths  [B]                                             u32  read
//   blocks   [B + B x heads x token blocks x column blocks]  u32  write  lengths, then states
//
// Grid: (column blocks, token blocks, heads of all sequences). A workgroup owns a block; an invocation takes every
// WORKGROUP-th of its pairs of a token and a column.
//
// Needs blocks, context, lengths, score_at, sequences, MASK_COLUMNS, MASK_IS_PER_HEAD, MASK_TOKENS, SINKS, WORKGROUP, isSeenAt,
// params.
var<storage, read_write> blocks: array<u32>;

// A bit for pairs that are seen, another for pairs that the mask hides.
const SEEN = 1u;
const HIDDEN = 2u;

var<workgroup> found: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroupId: vec3u, @builtin(local_invocation_index) lane: u32) {
  let heads = select(1u, params.numHeads, MASK_IS_PER_HEAD == 1u);
  let batch = workgroupId.z / heads;
  let head = workgroupId.z % heads;
  let context = contextOf(batch);
  // A block that no token sees a column of, such as one of later tokens, has no pair to ask about.
  let tokens = min(workgroupId.y * MASK_TOKENS + vec2u(0u, MASK_TOKENS - 1u), vec2u(params.seqLen - 1u));
  let visible = vec2u(visibleColumns(context, tokens.x).x, visibleColumns(context, tokens.y).y);
  let first = workgroupId.x * MASK_COLUMNS;
  let isMet = (first < visible.y && first + MASK_COLUMNS > visible.x) || first < SINKS;
  let pairs = select(0u, MASK_TOKENS * MASK_COLUMNS, isMet);
  var own = 0u;
  for (var i = lane; i < pairs; i += WORKGROUP) {
    let token = workgroupId.y * MASK_TOKENS + i / MASK_COLUMNS;
    let column = first + i % MASK_COLUMNS;
    let isPair = token < params.seqLen && column < context.len;
    if (isPair && isVisible(visibleColumns(context, token), column)) {
      let row = (batch * params.numHeads + head) * params.seqLen + token;
      own |= select(HIDDEN, SEEN, isSeenAt(placeOf(row, context, column)));
    }
  }
  atomicOr(&found, own);
  workgroupBarrier();
  if (lane > 0u) {
    return;
  }
  let all = atomicLoad(&found);
  let state = select(select(SOME, ALL, all == SEEN), NONE, (all & SEEN) == 0u);
  blocks[placeOfBlocks(batch, head, workgroupId.y) + workgroupId.x] = state;
  blocks[batch] = lengthOf(batch);
}
