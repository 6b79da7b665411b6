// rotation: a row in workgroup memory is multiplied, block by block, by an orthogonal matrix that is its own inverse.
//
// A lane has stored the elements lane, lane + WORKGROUP, ... of the row; afterwards every lane may read all of them.

// variant hadamard: a Hadamard matrix spreads one large element over its block (QuaRot: Ashkboos et al. 2024, arXiv
// 2404.00456).
//
//   y = x H_n / sqrt(n)    H_1 = [1]    H_2n = [H_n H_n; H_n -H_n]    n = blockSize
//
// Needs WORKGROUP, elements.
fn rotate(size: u32, blockSize: u32, lane: u32) {
  let factor = 1.0 / sqrt(f32(blockSize));
  for (var h = lane; h < size; h += WORKGROUP) {
    elements[h] *= factor;
  }
  for (var stride = 1u; stride < blockSize; stride *= 2u) {
    workgroupBarrier();
    for (var pair = lane; pair < size / 2u; pair += WORKGROUP) {
      let first = pair / stride * stride * 2u + pair % stride;
      let a = elements[first];
      let b = elements[first + stride];
      elements[first] = a + b;
      elements[first + stride] = a - b;
    }
  }
  workgroupBarrier();
}

// variant none: the identity.
fn rotate(size: u32, blockSize: u32, lane: u32) {
  workgroupBarrier();
}
