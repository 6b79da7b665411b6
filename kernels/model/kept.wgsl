// kept: the number of positions whose tokens are kept for the host.
struct Params {
  kept: u32,
}

var<uniform> params: Params;
