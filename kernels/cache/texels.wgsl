// texels: where a texture of TEXELS_WIDE texels a line has the one of a number.
//
// Needs TEXELS_WIDE.
fn placeOfTexel(texel: u32) -> vec2u {
  return vec2u(texel % TEXELS_WIDE, texel / TEXELS_WIDE);
}
