// channels: the offset and the scale of each channel, which is an element of the keys or of the values of one KV head.
//
//   x = offset + scale y

// variant calibrated: a table has them.
//
//   channels  [numKvHeads, H], then [numKvHeads, VALUE_DIM]  Channel  read   (the keys' alone where values are keys)
//
// Needs HEAD_DIM, VALUE_CHANNELS, VALUE_STRIDE.
struct Channel {
  offset: f32,
  scale: f32,
}

var<storage, read> channels: array<Channel>;

fn keyChannel(kvHead: u32, h: u32) -> Channel {
  return channels[kvHead * HEAD_DIM + h];
}

fn valueChannel(kvHead: u32, h: u32) -> Channel {
  return channels[VALUE_CHANNELS + kvHead * VALUE_STRIDE + h];
}

// variant none: an element stays as it is.
struct Channel {
  offset: f32,
  scale: f32,
}

fn keyChannel(kvHead: u32, h: u32) -> Channel {
  return Channel(0.0, 1.0);
}

fn valueChannel(kvHead: u32, h: u32) -> Channel {
  return Channel(0.0, 1.0);
}
