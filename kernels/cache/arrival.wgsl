// arrival: the new tokens of a sequence, and the slots that they are stored in.

// variant ring: the append itself moves the lengths, when every workgroup has read them.
//
//   slot(t) = t < SINKS ? t : SINKS + (t - SINKS) mod (capacity - SINKS)    t = lengths[b] + i
//
//   lengths   [B]  u32  read, write
//   arrivals  [B]  u32  read, write  zero between dispatches
//
// Needs append, SINKS, params.
var<storage, read_write> lengths: array<atomic<u32>>;
var<storage, read_write> arrivals: array<atomic<u32>>;

var<workgroup> sharedLength: u32;

fn arrivalOf(batch: u32, lane: u32) -> Arrival {
  if (lane == 0u) {
    sharedLength = atomicLoad(&lengths[batch]);
  }
  return Arrival(workgroupUniformLoad(&sharedLength), params.counts[batch / 4u][batch % 4u]);
}

// The row of a position; the head is numbered within its part.
fn slotRow(batch: u32, head: u32, position: u32) -> u32 {
  let turned = SINKS + (position - SINKS) % (params.capacity - SINKS);
  return head * params.capacity + select(turned, position, position < SINKS);
}

// The last workgroup to arrive moves the length: by then every other one has read it.
fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
  if (lane == 0u && atomicAdd(&arrivals[batch], 1u) == numWorkgroups - 1u) {
    atomicStore(&arrivals[batch], 0u);
    atomicStore(&lengths[batch], arrival.first + arrival.count * params.advance);
  }
}

// variant pages: the lengths count the new tokens already, as all layers append the same ones.
//
//   row(t) = (head * pages of the pool + pages[b, t / PAGE_SIZE]) * PAGE_SIZE + t mod PAGE_SIZE    t = lengths[b] - counts[b] + i
//
//   lengths  [B]                  u32  read
//   counts   [B]                  u32  read  number of new tokens
//   pages    [B, SEQUENCE_PAGES]  u32  read  the page of each PAGE_SIZE tokens
//
// Needs append, PAGE_SIZE, SEQUENCE_PAGES, params.
var<storage, read> lengths: array<u32>;
var<storage, read> counts: array<u32>;
var<storage, read> pages: array<u32>;

fn arrivalOf(batch: u32, lane: u32) -> Arrival {
  return Arrival(lengths[batch] - counts[batch], counts[batch]);
}

// The row of a position; the head is numbered within its part.
fn slotRow(batch: u32, head: u32, position: u32) -> u32 {
  let page = pages[batch * SEQUENCE_PAGES + position / PAGE_SIZE];
  return (head * params.capacity + page) * PAGE_SIZE + position % PAGE_SIZE;
}

fn leave(batch: u32, arrival: Arrival, lane: u32, numWorkgroups: u32) {
}
