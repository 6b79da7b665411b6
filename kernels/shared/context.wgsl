// context: the tokens that attention looks over, and where the ring keeps them.
//
// The context of a sequence is its last `len` tokens. Column c is the c-th of them; positions cancel out, so that only
// slots depend on how often the ring has wrapped.
@group(0) @binding(1) var<storage, read> lengths: array<u32>; // [B] tokens ever appended

// Stands for minus infinity, which WGSL cannot write.
const MASKED = -3.4028234663852886e38;

struct Context {
  len: u32,
  firstSlot: u32,
}

fn contextOf(batch: u32) -> Context {
  let end = lengths[batch];
  let len = min(end, params.contextLen);
  return Context(len, (end - len) % params.capacity);
}

fn slotOf(context: Context, column: u32) -> u32 {
  let slot = context.firstSlot + column;
  return select(slot, slot - params.capacity, slot >= params.capacity);
}

fn kvRow(batch: u32, kvHead: u32, slot: u32) -> u32 {
  return dot(vec3u(batch, kvHead, slot), params.kvStride) - params.firstKvRow;
}

// The columns [x, y) that a query sees. The last of the seqLen tokens is the last token of the context.
fn visibleColumns(context: Context, token: u32) -> vec2u {
  let len = i32(context.len);
  let own = len - i32(params.seqLen) + i32(token);
  let first = clamp(own - params.windowLeft, 0, len);
  let end = clamp(own + params.windowRight + 1, first, len);
  return vec2u(u32(first), u32(end));
}
