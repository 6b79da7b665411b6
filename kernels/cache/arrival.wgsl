// arrival: the new tokens that a line of the grid stores.

// variant ring: those of a sequence of a ring; the append itself moves the lengths, when every workgroup has read them.
//
//   lengths   [B]  u32  read, write
//   arrivals  [B]  u32  read, write  zero between dispatches
//
// Needs append, params.
var<storage, read_write> lengths: array<atomic<u32>>;
var<storage, read_write> arrivals: array<atomic<u32>>;

var<workgroup> sharedLength: u32;

fn arrivalOf(batch: u32, lane: u32) -> Arrival {
  if (lane == 0u) {
    sharedLength = atomicLoad(&lengths[batch]);
  }
  return Arrival(workgroupUniformLoad(&sharedLength), params.counts[batch / 4u][batch % 4u]);
}

fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
  return Place(batch, arrival.first + token);
}

// The last workgroup to arrive moves the length: by then every other one has read it.
fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
  if (lane == 0u && atomicAdd(&arrivals[batch], 1u) == numWorkgroups - 1u) {
    atomicStore(&arrivals[batch], 0u);
    atomicStore(&lengths[batch], arrival.first + arrival.count * params.advance);
  }
}

// variant padded: those of a sequence in pages, the first of as many rows as every sequence has.
//
// Needs append, new_tokens.
fn arrivalOf(batch: u32, lane: u32) -> Arrival {
  return Arrival(firstPosition(batch), countOfNew(batch));
}

fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
  return Place(batch, arrival.first + token);
}

fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
}

// variant ragged: those of all sequences in pages, end to end.
//
// Needs append, new_tokens.
fn arrivalOf(batch: u32, lane: u32) -> Arrival {
  return Arrival(0u, numNewTokens());
}

fn placeOfToken(batch: u32, arrival: Arrival, token: u32) -> Place {
  let sequence = sequenceOfRow(token);
  return Place(sequence, positionOfRow(sequence, token));
}

fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
}
