// query_numbers: queries stored as numbers like those of keys, and loaded alike.
@group(0) @binding(2) var<storage, read> q: array<Stored>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(q[load]);
}
