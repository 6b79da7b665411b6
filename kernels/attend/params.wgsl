// params: the shapes and options of one attention.
//
// `firstTile`, `firstRow`, `scratchRow`, `firstKvRow`, `firstQueryRow` and `slice` alone differ between its blocks.
// A query row is (batch, query head, token), numbered as in [B, N, S]; a block is a range of rows.

// The place of a bias or a mask in memory: rows of `keys` elements, one for each key.
struct Broadcast {
  // Elements from one batch, head and token to the next; 0 where all of them share.
  stride: vec3u,
  keys: u32,
}

struct Params {
  // Rows of H (or of VALUE_DIM) from one batch, head and token to the next.
  qStride: vec3u,
  numHeads: u32,
  kvStride: vec3u,
  numKvHeads: u32,
  seqLen: u32,
  // Slots of the ring; a contiguous K/V is a ring that has not wrapped.
  capacity: u32,
  // Columns of a row of scores: the most tokens that any row of this attention looks over.
  contextLen: u32,
  // Columns to fill even where a sequence is shorter, as the caller reads them.
  filledLen: u32,
  // Position of the first query; where `isFromEnd` is 1, counted from the end of the sequence.
  firstQuery: i32,
  isFromEnd: u32,
  // A query at position p sees the keys from p - windowLeft to p + windowRight.
  windowLeft: i32,
  windowRight: i32,
  scale: f32,
  softcap: f32,
  // 1 where the last element of a mask is about the last key of the sequence, 0 where its first is about the first.
  isMaskFromEnd: u32,
  bias: Broadcast,
  mask: Broadcast,
  firstTile: u32,
  firstRow: u32,
  // The row that is stored first in the buffer of scores.
  scratchRow: u32,
  // The row of keys and values that is stored first in their buffers, where these hold a part of them.
  firstKvRow: u32,
  // The row of queries that is stored first where their buffers hold a part of them.
  firstQueryRow: u32,
  // The present one of the slices that run one after the other.
  slice: u32,
  // Number of rows in all.
  numRows: u32,
}

var<uniform> params: Params;

fn tokenOf(row: u32) -> u32 {
  return row % params.seqLen;
}

fn headOf(row: u32) -> u32 {
  return row / params.seqLen % params.numHeads;
}

fn batchOf(row: u32) -> u32 {
  return row / (params.numHeads * params.seqLen);
}

// The KV head that a row reads.
fn kvHeadOf(row: u32) -> u32 {
  return headOf(row) / (params.numHeads / params.numKvHeads);
}

fn queryRow(batch: u32, head: u32, token: u32) -> u32 {
  return dot(vec3u(batch, head, token), params.qStride);
}

// The place of a row's first score.
fn scoresOffset(row: u32) -> u32 {
  return (row - params.scratchRow) * params.contextLen;
}

// The place of a row's first element of a bias or a mask.
fn rowOffset(shape: Broadcast, row: u32) -> u32 {
  return dot(vec3u(batchOf(row), headOf(row), tokenOf(row)), shape.stride);
}
