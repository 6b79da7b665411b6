// output_activated: an output is the activation of its row.
fn outputOf(rows: PerRow, i: u32) -> f32 {
  return activation(rows[i]);
}
