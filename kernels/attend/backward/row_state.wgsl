// row_state: what the gradients of a query row take from its forward pass.
struct RowState {
  // The log-sum-exp of its scores; MASKED for a row that sees nothing.
  lse: f32,
  // D: the gradient of its output times the output.
  dot: f32,
  // Tokens ever appended to its sequence. Elements of a uniform array take a multiple of 16 bytes.
  @size(8) length: u32,
}
