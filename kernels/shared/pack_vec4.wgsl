// pack_vec4: four neighbouring elements of a head are loaded at once. For head sizes divisible by 4.
alias Pack = vec4<T>;
alias Wide = vec4f;
alias WideInt = vec4i;
alias WideUint = vec4u;
const PACK = 4u;
const WITHIN_PACK = vec4u(0u, 1u, 2u, 3u);

fn addInner(a: Wide, b: Wide, sum: f32) -> f32 {
  return fma(a.w, b.w, fma(a.z, b.z, fma(a.y, b.y, fma(a.x, b.x, sum))));
}

fn largestOf(x: Wide) -> f32 {
  let most = max(abs(x.xy), abs(x.zw));
  return max(most.x, most.y);
}
