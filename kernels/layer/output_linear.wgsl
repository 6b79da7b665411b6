// output_linear: an output is its row.
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return rows[i];
}
