// new_rows: the rows of a new token in one KV head, as they arrive and where they are stored.

// variant keys_and_values: a token brings a key, which takes its position, and a value.
//
//   kNew  [B, S, numKvHeads, H]          T  read   (or [B, numKvHeads, S, H]: newStride)
//   vNew  [B, S, numKvHeads, VALUE_DIM]  T  read
//   k     [heads of the part, slots of a head, H]          Stored  write  what store makes of keys with their positions
//   v     [heads of the part, slots of a head, VALUE_DIM]  Stored  write  what store makes of values
//
// Needs append, rope, HEAD_DIM, Stored, T, VALUE_DIM.
var<storage, read> kNew: array<T>;
var<storage, read> vNew: array<T>;
var<storage, read_write> k: array<Stored>;
var<storage, read_write> v: array<Stored>;

const ROWS_OF_TOKEN = 2u;

fn sizeOf(row: NewRow) -> u32 {
  return select(VALUE_DIM, HEAD_DIM, row.isKey);
}

fn elementOf(row: NewRow, h: u32) -> f32 {
  if (row.isKey) {
    let first = row.index * HEAD_DIM;
    return roped(f32(kNew[first + h]), f32(kNew[first + partnerOf(h)]), row.position, h);
  }
  return f32(vNew[row.index * VALUE_DIM + h]);
}

fn storeElement(row: NewRow, index: u32, stored: Stored) {
  if (row.isKey) {
    k[index] = stored;
  } else {
    v[index] = stored;
  }
}

// variant keys: a token brings a key alone, whose first elements are its value.
//
//   kNew  [B, S, numKvHeads, H]                    T       read   (or [B, numKvHeads, S, H]: newStride)
//   k     [heads of the part, slots of a head, H]  Stored  write  what store makes of keys with their positions
//
// Needs append, rope, HEAD_DIM, Stored, T.
var<storage, read> kNew: array<T>;
var<storage, read_write> k: array<Stored>;

const ROWS_OF_TOKEN = 1u;

fn sizeOf(row: NewRow) -> u32 {
  return HEAD_DIM;
}

fn elementOf(row: NewRow, h: u32) -> f32 {
  let first = row.index * HEAD_DIM;
  return roped(f32(kNew[first + h]), f32(kNew[first + partnerOf(h)]), row.position, h);
}

fn storeElement(row: NewRow, index: u32, stored: Stored) {
  k[index] = stored;
}
