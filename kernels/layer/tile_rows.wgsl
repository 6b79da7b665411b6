// tile_rows: the first row of an invocation's tile of a product.

// variant own: an invocation has rows of its own, or shares some by chance.
//
// Needs ROWS, TILES, WORKGROUP.
fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
  return (workgroupIndex * WORKGROUP + invocation) / TILES * ROWS;
}

// variant shared: the invocations of a workgroup have the same rows, as WORKGROUP divides TILES.
//
// Needs ROWS, TILES, WORKGROUP.
fn firstRowOf(workgroupIndex: u32, invocation: u32) -> u32 {
  return workgroupIndex / (TILES / WORKGROUP) * ROWS;
}
