// stored_keys: the rows of keys as they are bound, in loads. Values, queries and dO are bound alike, under other names.

// variant storage: all of them.
//
//   k  [rows, H]  Stored  read
//
// Needs Stored.
var<storage, read> k: array<Stored>;

// variant uniform: those that a uniform binding holds, whose loads are cheap in software.
//
//   k  [bound rows, H]  Stored  uniform
//
// Needs K_LOADS, Stored.
var<uniform> k: array<Stored, K_LOADS>;

// variant texels: a texture, whose loads are as cheap in software and which holds all of them.
//
//   k  [rows, H]  f32  texture, a pack in each texel
var k: texture_2d<f32>;
