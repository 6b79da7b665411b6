// context: the tokens that attention looks over, and those of them that a query sees.
//
// The columns of a context of `len` tokens are its sinks, the first SINKS tokens of the sequence, and then its last
// len - SINKS tokens. Positions relative to these do not change when the ring wraps: the slots alone do.
//
// Needs SINKS, params.
struct Context {
  sequence: u32,
  len: u32,
  // Number of tokens between the sinks and the other columns: no query sees them.
  skipped: u32,
  // The position of the query of token 0.
  firstQuery: i32,
}

// The context of a sequence that has `end` tokens.
fn contextUpTo(sequence: u32, end: u32, firstQuery: i32) -> Context {
  let len = min(end, params.contextLen);
  return Context(sequence, len, end - len, firstQuery);
}

// The position of a column's token in its sequence.
fn tokenAt(context: Context, column: u32) -> u32 {
  return select(context.skipped + column, column, column < SINKS);
}

// The position of a query in its sequence; it may lie before or after all of its tokens.
fn queryPosition(context: Context, token: u32) -> i32 {
  return context.firstQuery + i32(token);
}

// The columns [x, y) in the window of a query, which sees the sinks before them as well.
fn visibleColumns(context: Context, token: u32) -> vec2u {
  let len = i32(context.len);
  let own = queryPosition(context, token) - i32(context.skipped);
  let first = clamp(own - params.windowLeft, 0, len);
  let end = clamp(own + params.windowRight + 1, first, len);
  return vec2u(u32(first), u32(end));
}

fn isVisible(visible: vec2u, column: u32) -> bool {
  return (column >= visible.x && column < visible.y) || column < min(SINKS, visible.x);
}

// The number of columns that a query sees, or several queries whose windows lie in [x, y).
fn countOf(visible: vec2u) -> u32 {
  return min(SINKS, visible.x) + visible.y - visible.x;
}

// The index-th of them.
fn columnAt(visible: vec2u, index: u32) -> u32 {
  let sinks = min(SINKS, visible.x);
  return select(visible.x - sinks + index, index, index < sinks);
}
