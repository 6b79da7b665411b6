// pack: the elements of a row that a kernel computes with at once, as f32.

// variant vec4: four neighbouring elements, for rows whose size 4 divides.
alias Wide = vec4f;
alias WideUint = vec4u;
const PACK = 4u;

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn largestOf(x: Wide) -> f32 {
  let most = max(abs(x.xy), abs(x.zw));
  return max(most.x, most.y);
}

// Integers of `size` bits, the first of which begins at a bit of the word.
fn integersFrom(word: i32, bit: u32, size: u32) -> vec4i {
  return vec4i(
    extractBits(word, bit, size),
    extractBits(word, bit + size, size),
    extractBits(word, bit + 2u * size, size),
    extractBits(word, bit + 3u * size, size),
  );
}

// variant scalar: one element, for rows of other sizes.
alias Wide = f32;
alias WideUint = u32;
const PACK = 1u;

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a, b, sum);
}

fn largestOf(x: Wide) -> f32 {
  return abs(x);
}

// The integer of `size` bits that begins at a bit of the word.
fn integersFrom(word: i32, bit: u32, size: u32) -> i32 {
  return extractBits(word, bit, size);
}
