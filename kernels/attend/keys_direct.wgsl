// keys_direct: a lane loads its keys where they lie.
fn stageKeys(view: View, start: u32, invocation: u32, load: u32) {
}

fn ownKeysAt(key: u32, column: u32, load: u32) -> array<Factor, LOAD_PACKS> {
  return keysAt(key, load);
}
