// The short form of `deno run chaos`: the only worker is killed, and another one follows.
import { assertEquals } from "@std/assert";
import { withModel } from "../support/commands.ts";
import { testNats } from "../support/nats.ts";
import { chaos } from "./chaos.ts";

testNats(
  "chaos: prompts whose worker is killed are continued once, as they are alone",
  async (random) => {
    const { kills, faults } = await withModel(random, ({ model, tokenizer }) =>
      chaos(random, {
        ...{ model, tokenizer, prompts: 3, tokens: 40, workers: 1, clients: 2, patience: 1 },
        hangs: 60_000,
        // The first as soon as it is within the work, and no other.
        killAt: (kills, begun) => kills === 0 ? begun : new Promise(() => {}),
      }));
    assertEquals([kills, faults], [{ file: 1, streams: 1 }, []]);
  },
);
