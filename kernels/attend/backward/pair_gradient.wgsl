// pair_gradient: the weight of one key in one query row, and the gradients of the score between them.
//
//   w = exp(s - lse)    ds = w (dw - D) modSlopeOf(p)    dp = ds slopeOf(p)    with p = q . k and dw = dO . v
//
// A pair without weight has no gradient, also where its value is Inf or NaN: 0 x Inf is NaN.
//
// Needs context, masked, pair, row_state, modSlopeOf, scoreOf, slopeOf.
fn pairGradient(
  product: f32,
  dWeight: f32,
  row: u32,
  context: Context,
  column: u32,
  state: RowState,
  isVisible: bool,
) -> PairGradient {
  let score = select(MASKED, scoreOf(product, row, context, column), isVisible);
  let weight = select(exp(score - state.lse), 0.0, score <= MASKED);
  let modSlope = modSlopeOf(product, row, context, column);
  let dScore = select(weight * (dWeight - state.dot) * modSlope, 0.0, weight == 0.0);
  let slope = slopeOf(product);
  return PairGradient(weight, dScore, select(dScore * slope, 0.0, weight == 0.0));
}
