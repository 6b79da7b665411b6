// pack_vec4: four neighbouring elements of a head are loaded at once. For head sizes divisible by 4.
alias Pack = vec4<T>;
alias Wide = vec4f;
const PACK = 4u;

fn inner(a: Wide, b: Wide) -> f32 {
  return dot(a, b);
}
