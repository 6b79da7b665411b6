// block_mask: the states of the blocks of a mask (FlexAttention: Dong et al. 2024, arXiv 2412.05496).
//
//   lengths  [B]                                             u32  read
//   blocks   [B + B x heads x token blocks x column blocks]  u32  write  lengths, then states
//
// Grid: (column blocks, token blocks, heads of all sequences). A workgroup owns a block; an invocation takes every
// COLUMN_LANES-th column of it and every TOKEN_LANES-th token. The mask is asked about LANE_TOKENS tokens by LANE_COLUMNS
// columns without a branch between, so that a compiler loads what the mask reads of a token, or of a column, once for all of
// them.
//
// Needs blocks, context, lengths, score_at, sequences, COLUMN_LANES, LANE_COLUMNS, LANE_TOKENS, MASK_COLUMNS, MASK_IS_PER_HEAD,
// MASK_TOKENS, SINKS, TOKEN_LANES, WORKGROUP, isSeenAt, params.
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
  let firstToken = workgroupId.y * MASK_TOKENS;
  let lastToken = min(firstToken + MASK_TOKENS, params.seqLen) - 1u;
  let visible = vec2u(visibleColumns(context, firstToken).x, visibleColumns(context, lastToken).y);
  let first = workgroupId.x * MASK_COLUMNS;
  let isMet = (first < visible.y && first + MASK_COLUMNS > visible.x) || first < SINKS;
  var own = 0u;
  for (var i = 0u; i < MASK_TOKENS; i += TOKEN_LANES * LANE_TOKENS) {
    if (!isMet || firstToken + i > lastToken) {
      break;
    }
    /*unroll*/ for (var t = 0u; t < LANE_TOKENS; t++) {
      // What lies behind the last token asks about that one again.
      let token = min(firstToken + i + t * TOKEN_LANES + lane / COLUMN_LANES, lastToken);
      /*unroll*/ for (var c = 0u; c < LANE_COLUMNS; c++) {
        let column = first + c * COLUMN_LANES + lane % COLUMN_LANES;
        let isSeen = isSeenAt(placeOfPair(head, token, context, column));
        let isPair = isVisible(visibleColumns(context, token), column);
        own |= select(0u, select(HIDDEN, SEEN, isSeen), isPair);
      }
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
