// inside: the packs between the two projections of a feed-forward layer, and their gradients.
//
// Grid: that of each, which runs it. An invocation owns a pack.

// variant gated: the activation of a gate times what it lets through (GLU variants: Shazeer 2020, arXiv 2002.05202).
//
//   gate  [tokens, hidden]  f32  read
//   up    [tokens, hidden]  f32  read
//   y     [tokens, hidden]  f32  write
//
// Needs activation, stored_pack.
var<storage, read> gate: array<StoredPack>;
var<storage, read> up: array<StoredPack>;
var<storage, read_write> y: array<StoredPack>;

fn visit(i: u32) {
  y[i] = storedOf(activation(packOf(gate[i])) * packOf(up[i]));
}

// variant activated: the activation alone.
//
//   up  [tokens, hidden]  f32  read
//   y   [tokens, hidden]  f32  write
//
// Needs activation, stored_pack.
var<storage, read> up: array<StoredPack>;
var<storage, read_write> y: array<StoredPack>;

fn visit(i: u32) {
  y[i] = storedOf(activation(packOf(up[i])));
}

// variant gated_gradient: dgate = dy up activation'(gate), dup = dy activation(gate).
//
//   gate   [tokens, hidden]  f32  read
//   up     [tokens, hidden]  f32  read
//   dy     [tokens, hidden]  f32  read
//   dGate  [tokens, hidden]  f32  write
//   dUp    [tokens, hidden]  f32  write
//
// Needs activation, stored_pack.
var<storage, read> gate: array<StoredPack>;
var<storage, read> up: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read_write> dGate: array<StoredPack>;
var<storage, read_write> dUp: array<StoredPack>;

fn visit(i: u32) {
  let opening = packOf(gate[i]);
  let gradient = packOf(dy[i]);
  dGate[i] = storedOf(gradient * packOf(up[i]) * activationSlope(opening));
  dUp[i] = storedOf(gradient * activation(opening));
}

// variant activated_gradient: dup = dy activation'(up).
//
//   up   [tokens, hidden]  f32  read
//   dy   [tokens, hidden]  f32  read
//   dUp  [tokens, hidden]  f32  write
//
// Needs activation, stored_pack.
var<storage, read> up: array<StoredPack>;
var<storage, read> dy: array<StoredPack>;
var<storage, read_write> dUp: array<StoredPack>;

fn visit(i: u32) {
  dUp[i] = storedOf(packOf(dy[i]) * activationSlope(packOf(up[i])));
}
