// output_gated: an output is the activation of one row times the next (GLU variants: Shazeer 2020, arXiv 2002.05202).
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return activation(rows[2u * i]) * rows[2u * i + 1u];
}
