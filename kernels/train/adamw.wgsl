// adamw: a step of each element of a parameter, with a decay that is no part of the gradient (AdamW: Loshchilov and Hutter
// 2017, arXiv 1711.05101).
//
//   g = clip gradient    m = m + (1 - beta1) (g - m)    v = v + (1 - beta2) (g^2 - v)
//   w = w - rate (m / (1 - beta1^n) / (sqrt(v / (1 - beta2^n)) + eps) + decay w)
//
//   w         [elements]  f32         read, write
//   gradient  [elements]  f32         read, write: zero for the next step
//   m         [elements]  f32         read, write
//   v         [elements]  f32         read, write
//   schedule  [1]         Step        read
//   clipping  [1]         norm, clip  read
//
// Where the norm of the gradients is not finite, all that a step would change stays as it is.
//
// Grid: that of each, which runs it. An invocation owns an element.
struct Params {
  length: u32,
  decay: f32,
}

struct Step {
  // The rate, and what divides m and v to make up for their start at zero.
  rate: f32,
  mCorrection: f32,
  vCorrection: f32,
  // 1 - beta1 and 1 - beta2, which f32 would round less well on the device.
  mShare: f32,
  vShare: f32,
  eps: f32,
}

var<uniform> params: Params;
var<storage, read> schedule: array<Step>;
var<storage, read> clipping: array<vec2f>;
var<storage, read_write> w: array<f32>;
var<storage, read_write> gradient: array<f32>;
var<storage, read_write> m: array<f32>;
var<storage, read_write> v: array<f32>;

fn visit(i: u32) {
  let norm = clipping[0].x;
  let g = clipping[0].y * gradient[i];
  gradient[i] = 0.0;
  // Bits say so, as compilers may let a comparison with NaN be either.
  if ((bitcast<u32>(norm) & 0x7fffffffu) >= 0x7f800000u) {
    return;
  }
  let now = schedule[0];
  let mNew = fma(now.mShare, g - m[i], m[i]);
  let vNew = fma(now.vShare, g * g - v[i], v[i]);
  m[i] = mNew;
  v[i] = vNew;
  let towards = mNew / now.mCorrection / (sqrt(vNew / now.vCorrection) + now.eps);
  w[i] -= now.rate * (towards + params.decay * w[i]);
}
