// row_states: the states of all query rows.
//
//   rowStates  [B, S, N]  RowState  read  (or [B, N, S]: qStride)
//
// Needs row_state.
var<storage, read> rowStates: array<RowState>;
