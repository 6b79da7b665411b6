// put_pack: a pack of a row is written.

// variant y: to y.
//
//   y  [rows, packs of a row]  f32  write
//
// Needs pack, stored_pack, PACKS.
var<storage, read_write> y: array<StoredPack>;

fn putPack(row: u32, pack: u32, value: Wide) {
  y[row * PACKS + pack] = storedOf(value);
}

// variant sum: to the sum of it and y: a gradient to which several uses add.
//
//   y  [rows, packs of a row]  f32  read, write
//
// Needs pack, stored_pack, PACKS.
var<storage, read_write> y: array<StoredPack>;

fn putPack(row: u32, pack: u32, value: Wide) {
  let i = row * PACKS + pack;
  y[i] = storedOf(packOf(y[i]) + value);
}

// variant heads: the elements of a row are those of HEADS heads, HEAD_ROWS of each; a head of y is wider, and has them from
// HEAD_FIRST on.
//
//   y  [rows, HEADS, HEAD_WIDTH]  f32  write
//
// Needs pack, stored_pack, HEADS, HEAD_FIRST, HEAD_ROWS, HEAD_WIDTH.
var<storage, read_write> y: array<StoredPack>;

fn putPack(row: u32, pack: u32, value: Wide) {
  let head = pack * PACK / HEAD_ROWS;
  y[((row * HEADS + head) * HEAD_WIDTH + HEAD_FIRST + pack * PACK % HEAD_ROWS) / PACK] = storedOf(value);
}
