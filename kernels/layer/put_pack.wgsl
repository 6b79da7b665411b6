// put_pack: a pack of a row is written.

// variant y: to y.
//
//   y  [rows, packs of a row]  f32  write
//
// Needs pack, PACKS.
var<storage, read_write> y: array<Wide>;

fn putPack(row: u32, pack: u32, value: Wide) {
  y[row * PACKS + pack] = value;
}

// variant sum: to the sum of it and y: a gradient to which several uses add.
//
//   y  [rows, packs of a row]  f32  read, write
//
// Needs pack, PACKS.
var<storage, read_write> y: array<Wide>;

fn putPack(row: u32, pack: u32, value: Wide) {
  y[row * PACKS + pack] += value;
}
