// output: an output of a projection is made of one row or of two.

// variant linear: an output is its row.
//
// Needs PerRow.
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return rows[i];
}

// variant activated: an output is the activation of its row.
//
// Needs activation, PerRow.
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return activation(rows[i]);
}

// variant gated: an output is the activation of one row times the next (GLU variants: Shazeer 2020, arXiv 2002.05202).
//
// Needs activation, PerRow.
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return activation(rows[2u * i]) * rows[2u * i + 1u];
}
