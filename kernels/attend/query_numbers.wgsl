// query_numbers: queries stored as numbers like those of keys, and loaded alike.
var<storage, read> q: array<Stored>;

fn queryAt(load: u32) -> array<Wide, LOAD_PACKS> {
  return numbersOf(q[load]);
}
