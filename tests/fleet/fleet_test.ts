// The short form of `deno run fleet`, whatever its times are.
import { assert, assertEquals } from "@std/assert";
import { testNats } from "../support/nats.ts";
import { checkFleet } from "./fleet.ts";

testNats("fleet: requests through workers are answered, and the same ones simulated", async () => {
  const { overheadMs, loads } = await checkFleet({ workers: 2, requests: 6, seed: 1 });
  assert(overheadMs > 0);
  assertEquals(loads.map(({ load }) => load), ["at once", "at random"]);
  for (const { measured, simulated } of loads) {
    for (const { throughput, firstMs, lastMs } of [measured, simulated]) {
      assert(throughput > 0 && firstMs > 0 && lastMs >= firstMs);
    }
  }
});
