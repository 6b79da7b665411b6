// bound_rows: the rows of a tensor as they are bound, in loads.

// variant storage: all of them.
//
// Needs Stored.
var<storage, read> bound: array<Stored>;

// variant uniform: those that a uniform binding holds, whose loads are cheap in software.
//
// Needs BOUND_LOADS, Stored.
var<uniform> bound: array<Stored, BOUND_LOADS>;
