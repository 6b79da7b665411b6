// each_length: the parameters of a function of each element that has no others.
struct Params {
  length: u32,
}

var<uniform> params: Params;
