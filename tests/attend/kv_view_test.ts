// Attention asks for a view of keys and values: whoever gives one is read as a ring is.
import { assertEquals, assertThrows } from "@std/assert";
import { Attention, type KvView, RingKvCache } from "../../mod.ts";
import { sharedGpu } from "../support/gpu.ts";
import { testRandomly } from "../support/random.ts";
import { submit, Tensors } from "../support/run.ts";

testRandomly(
  "views: an object of the user's own is read as the ring that it shows",
  async (random) => {
    using tensors = new Tensors();
    const gpu = await sharedGpu();
    const shape = { numKvHeads: 2, headDim: 16, capacity: 12, window: 9, sinks: 2 };
    const ring = tensors.keep(await RingKvCache.create(gpu, { ...shape, batch: 2 }));
    const attention = tensors.keep(await Attention.create(gpu, { ...ring.spec, numHeads: 6 }));
    const q = await tensors.upload(random.tensor([2, 1, 6, 16]));
    for (let token = 0; token < 17; token++) {
      const k = await tensors.upload(random.tensor([2, 1, 2, 16]));
      const v = await tensors.upload(random.tensor([2, 1, 2, 16]));
      await submit((encoder) => ring.append(encoder, { k, v }));
    }
    const asked: unknown[] = [];
    const { spec, parts, lengthsBuffer } = ring;
    const view: KvView = {
      ...{ gpu, spec, parts, lengthsBuffer },
      checkVisible: (queries) => void asked.push(queries.seqLen, queries.window),
    };
    const [own, seen] = [
      await tensors.poisoned([2, 1, 6, 16]),
      await tensors.poisoned([2, 1, 6, 16]),
    ];
    await submit((encoder) => {
      attention.encode(encoder, { q, cache: ring, o: own });
      attention.encode(encoder, { q, cache: view, o: seen });
    });
    assertEquals(asked, [1, 9]);
    assertEquals(await seen.download(), await own.download());
    const refusing = {
      ...view,
      checkVisible: () => {
        throw new RangeError("gone");
      },
    };
    const encoder = gpu.device.createCommandEncoder();
    assertThrows(
      () => attention.encode(encoder, { q, cache: refusing, o: own }),
      RangeError,
      "gone",
    );
    const says = "cache must be a view of keys and values, such as a RingKvCache";
    for (const none of [{}, { gpu }, 3, 0, "", null]) {
      assertThrows(() => attention.bind({ q, cache: none as never, o: own }), TypeError, says);
    }
  },
);
