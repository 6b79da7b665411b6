// context: the tokens that attention looks over, and where the ring keeps them.
//
// The context of a sequence is its last `len` tokens. Column c is the c-th of them.
@group(0) @binding(1) var<storage, read> lengths: array<u32>; // [B] tokens ever appended

struct Context {
  len: u32,
  // Tokens of the sequence before the first column.
  skipped: u32,
  firstSlot: u32,
}

fn contextOf(batch: u32) -> Context {
  let end = lengths[batch];
  let len = min(end, params.contextLen);
  return Context(len, end - len, (end - len) % params.capacity);
}

fn slotOf(context: Context, column: u32) -> u32 {
  let slot = context.firstSlot + column;
  return select(slot, slot - params.capacity, slot >= params.capacity);
}

fn kvRow(batch: u32, kvHead: u32, slot: u32) -> u32 {
  return dot(vec3u(batch, kvHead, slot), params.kvStride);
}

// The position of a column's token in its sequence.
fn tokenAt(context: Context, column: u32) -> u32 {
  return context.skipped + column;
}

// The position of a query in its sequence; it may lie before or after all of its tokens.
fn queryPosition(context: Context, token: u32) -> i32 {
  let first = select(0u, context.skipped + context.len, params.isFromEnd == 1u);
  return i32(first + token) + params.firstQuery;
}

// The columns [x, y) that a query may see.
fn visibleColumns(context: Context, token: u32) -> vec2u {
  let len = i32(context.len);
  let own = queryPosition(context, token) - i32(context.skipped);
  let first = clamp(own - params.windowLeft, 0, len);
  let end = clamp(own + params.windowRight + 1, first, len);
  return vec2u(u32(first), u32(end));
}
