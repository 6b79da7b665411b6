// inside: the elements between the two projections of a feed-forward layer, and their gradients.

// variant gated: the activation of a gate times what it lets through (GLU variants: Shazeer 2020, arXiv 2002.05202).
//
//   gate  [tokens, hidden]  f32  read
//   up    [tokens, hidden]  f32  read
//   y     [tokens, hidden]  f32  write
//
// Needs activation.
var<storage, read> gate: array<f32>;
var<storage, read> up: array<f32>;
var<storage, read_write> y: array<f32>;

fn visit(i: u32) {
  y[i] = activation(gate[i]) * up[i];
}

// variant activated: the activation alone.
//
//   up  [tokens, hidden]  f32  read
//   y   [tokens, hidden]  f32  write
//
// Needs activation.
var<storage, read> up: array<f32>;
var<storage, read_write> y: array<f32>;

fn visit(i: u32) {
  y[i] = activation(up[i]);
}

// variant gated_gradient: dgate = dy up activation'(gate), dup = dy activation(gate).
//
//   gate   [tokens, hidden]  f32  read
//   up     [tokens, hidden]  f32  read
//   dy     [tokens, hidden]  f32  read
//   dGate  [tokens, hidden]  f32  write
//   dUp    [tokens, hidden]  f32  write
//
// Needs activation.
var<storage, read> gate: array<f32>;
var<storage, read> up: array<f32>;
var<storage, read> dy: array<f32>;
var<storage, read_write> dGate: array<f32>;
var<storage, read_write> dUp: array<f32>;

fn visit(i: u32) {
  dGate[i] = dy[i] * up[i] * activationSlope(gate[i]);
  dUp[i] = dy[i] * activation(gate[i]);
}

// variant activated_gradient: dup = dy activation'(up).
//
//   up   [tokens, hidden]  f32  read
//   dy   [tokens, hidden]  f32  read
//   dUp  [tokens, hidden]  f32  write
//
// Needs activation.
var<storage, read> up: array<f32>;
var<storage, read> dy: array<f32>;
var<storage, read_write> dUp: array<f32>;

fn visit(i: u32) {
  dUp[i] = dy[i] * activationSlope(up[i]);
}
