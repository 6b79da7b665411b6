// pair_gradient: the weight of one key in one query row, and the gradients of the score between them.
//
//   w = exp(s - lse)    ds = w (dw - D) modSlopeOf(p)    dp = ds slopeOf(p)    with p = q . k and dw = dO . v
//
// A pair without weight has no gradient, also where its value is Inf or NaN: 0 x Inf is NaN. The weight is a factor of what is
// selected, so that NaN stays NaN, also where a compiler lets it equal 0.
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
  let weight = select(exp(score - state.lse), 0.0, isMasked(score));
  let modSlope = modSlopeOf(product, row, context, column);
  let dScore = weight * select((dWeight - state.dot) * modSlope, 0.0, weight == 0.0);
  let slope = slopeOf(product);
  return PairGradient(weight, dScore, dScore * select(slope, 0.0, weight == 0.0));
}
