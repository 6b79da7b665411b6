// meeting: lanes that exchange something through workgroup memory wait for each other.

// variant shared: all lanes of the workgroup have come here before any of them goes on.
fn meet() {
  workgroupBarrier();
}

// variant none: lanes exchange nothing, or by subgroup operations alone.
fn meet() {
}
