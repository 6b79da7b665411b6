// mask: keys that a query must not see are masked.
//
//   mask  [B, N, S, keys]  bits  read  (axes before the last may be shared: params.mask.stride)
//
// Element i is bit i mod 32 of word i / 32. A mask of the first keys masks later ones; one of the last keys leaves earlier
// ones as they are.
//
// Needs context, masked, params.
var<storage, read> mask: array<u32>;

fn withMask(s: f32, row: u32, context: Context, column: u32) -> f32 {
  let keys = i32(params.mask.keys);
  let end = i32(context.skipped + context.len);
  let key = i32(tokenAt(context, column)) - select(0, end - keys, params.isMaskFromEnd == 1u);
  if (key < 0) {
    return s;
  }
  if (key >= keys) {
    return MASKED;
  }
  let element = rowOffset(params.mask, row) + u32(key);
  let isSeen = ((mask[element / 32u] >> (element % 32u)) & 1u) == 1u;
  return select(MASKED, s, isSeen);
}
