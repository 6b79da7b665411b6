// count_change: a cache has changed in a way that its lengths need not show.
//
//   changes  [1]  u32  read, write  modulo CHANGES
//
// Grid: one invocation.
//
// Needs CHANGES, WORKGROUP.
var<storage, read_write> changes: array<u32>;

@compute @workgroup_size(WORKGROUP)
fn main() {
  changes[0] = (changes[0] + 1u) % CHANGES;
}
