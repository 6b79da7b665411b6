// rope_none: rows stay as they are.
fn partnerOf(h: u32) -> u32 {
  return h;
}

fn rotated(own: f32, partner: f32, position: u32, h: u32) -> f32 {
  return own;
}
