// row_states: the states of query rows.

// variant storage: those of all rows.
//
//   rowStates  [B, S, N]  RowState  read  (or [B, N, S]: qStride)
//
// Needs row_state.
var<storage, read> rowStates: array<RowState>;

// variant uniform: those of rows that a uniform binding holds, from params.firstQueryRow on.
//
//   rowStates  [Q_ROWS]  RowState  uniform
//
// Needs row_state, Q_ROWS.
var<uniform> rowStates: array<RowState, Q_ROWS>;
