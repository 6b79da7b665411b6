// The simulation of a fleet: by hand, by what is kept, by a queue's closed form, and beside the steps of a real batch.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { drawRequests, type FleetRequest } from "../../../../cli/plan/fleet/requests.ts";
import type { FleetOptions } from "../../../../cli/plan/fleet/gateway.ts";
import { simulate } from "../../../../cli/plan/fleet/simulate.ts";
import type { TimedWork } from "../../../../cli/plan/fleet/step_times.ts";
import { type Random, testRandomly } from "../../../support/random.ts";

/** Steps of a second, and of another one for each token; reads of half a second. */
const TIMES = {
  readSeconds: 0.5,
  stepSeconds: (work: readonly TimedWork[]) => work.reduce((sum, { count }) => sum + count, 1),
  excessSeconds: () => 0,
};
const ONE: FleetOptions = {
  ...{ replicas: 1, maxRunning: 2, maxStepTokens: 4, stepsPerRead: 2, maxQueue: 1 },
  ...{ pages: { total: 10, pageSize: 4 }, times: TIMES },
  overheadSeconds: 0,
};

function request(at: number, prompt: number, answer: number, mostAnswer = answer): FleetRequest {
  return { at, prompt, answer, mostAnswer };
}

/** The seconds at which answers begin and end. */
function timesOf(requests: readonly FleetRequest[], options = ONE): number[][] {
  return simulate(requests, options).requests.map(({ firstAt, endAt }) => [firstAt, endAt]);
}

Deno.test("Fleet: tokens come when a schedule worked out by hand has them come", () => {
  const requests = [
    request(10, 3, 2), // steps of 3 and 1 tokens, one read
    request(10, 6, 3), // chunks of 1, 3 and 2, then 1 and 1
    request(13, 1, 2), // comes while steps are under way, and there is no place before one is over
  ];
  // Steps of tokens: 3 + 1, 1 + 3 | 2 + 1, 1 + 1 | 1, of 5, 5, read, 4, 3, read, 2, read.
  assertEquals(timesOf(requests), [[20.5, 20.5], [28, 30.5], [28, 28]]);
});

Deno.test("Fleet: who comes while a replica waits for a read is in the steps behind it", () => {
  // Two steps of 2 seconds and a read; then 3 seconds and a read.
  assertEquals(timesOf([request(0, 1, 2), request(1, 2, 1)]), [[4.5, 4.5], [8, 8]]);
});

Deno.test("Fleet: steps up to a read take as much longer as is said of the fleet's n-th one", () => {
  const times = { ...TIMES, excessSeconds: (read: number) => [2, 4, -9][read] };
  const requests = [request(0, 1, 1), request(0, 1, 1), request(9, 1, 1)];
  // Two seconds of a step and as many more, or none where they would be below none, and the read.
  const expected = [[4.5, 4.5], [6.5, 6.5], [9.5, 9.5]];
  assertEquals(timesOf(requests, { ...ONE, replicas: 2, times }), expected);
});

Deno.test("Fleet: steps that choose no token are not read, and take no read's excess", () => {
  const long = request(0, 10, 2);
  // Chunks of 4 and 4, of which nothing is read; then 2 and 1, and the read.
  assertEquals(timesOf([long]), [[15.5, 15.5]]);
  const times = { ...TIMES, excessSeconds: (read: number) => [1, 100][read] };
  assertEquals(timesOf([long], { ...ONE, times }), [[16.5, 16.5]]);
});

Deno.test("Fleet: half of a request's overhead passes before its steps, and half behind them", () => {
  for (const replicas of [1, 2]) {
    const options = { ...ONE, replicas, overheadSeconds: 1 };
    assertEquals(timesOf([request(4, 1, 2)], options), [[9.5, 9.5]]);
  }
});

Deno.test("Fleet: an answer that a token ends runs on up to the read", () => {
  // Four steps of 2 seconds, of which the last two are for nothing, and a read.
  const [[first, end]] = timesOf([request(0, 1, 2, 9)], { ...ONE, stepsPerRead: 4 });
  assertEquals([first, end], [8.5, 8.5]);
  const [, [, after]] = timesOf([request(0, 1, 2, 9), request(0, 1, 1)], {
    ...{ ...ONE, stepsPerRead: 4, maxRunning: 1 },
  });
  assertEquals(after, 8.5 + 2.5);
});

Deno.test("Fleet: where pages run out the younger sequence begins anew", () => {
  const options = { ...ONE, pages: { total: 3, pageSize: 2 } };
  const { requests, replicas: [replica] } = simulate(
    [request(0, 2, 3), request(0, 1, 3)],
    options,
  );
  assertEquals(replica.counts.setBacks, 1);
  // 2 + 1 and 1 + 1 tokens, read at 7.5; the first goes on alone, 2 seconds and a read; the second feeds 3 tokens.
  assertEquals(requests.map(({ firstAt, endAt }) => [firstAt, endAt]), [[7.5, 10], [7.5, 14.5]]);
});

Deno.test("Fleet: what does not fit the pages is refused", () => {
  assertThrows(() => timesOf([request(0, 30, 11)]), RangeError, "maxTokens=41, pages=10");
  const two = { ...ONE, replicas: 2 };
  assertThrows(() => timesOf([request(0, 30, 11)], two), RangeError, "maxTokens=41, pages=10");
});

Deno.test("Fleet: several replicas share by room, as the gateway is told of it", () => {
  const options = { ...ONE, replicas: 2, stepsPerRead: 1, maxRunning: 1 };
  const soon = [request(0, 1, 1), request(0, 1, 1), request(0, 1, 1)];
  // Two run at once, and the third waits at one of them.
  assertEquals(timesOf(soon, options), [[2.5, 2.5], [2.5, 2.5], [5, 5]]);
  // Whoever is refused is given again as soon as a replica says that it has room: none is ever idle.
  const many = Array.from({ length: 12 }, () => request(0, 1, 1));
  const ends = timesOf(many, options).map(([, end]) => end).sort((a, b) => a - b);
  assertEquals(ends, [1, 2, 3, 4, 5, 6].flatMap((turn) => [2.5 * turn, 2.5 * turn]));
});

Deno.test("Fleet: replicas hear and say late that they have room", () => {
  const options = {
    ...ONE,
    ...{ replicas: 2, stepsPerRead: 1, maxRunning: 1, overheadSeconds: 1 },
  };
  const ends = timesOf(Array.from({ length: 6 }, () => request(0.125, 1, 1)), options);
  // From 0.625 on each has one that runs and one that waits, and refuses a third. Both hear questions at 3.125, when they have
  // no room, and at 5.625; whose word comes first, at 6.125, is given the last two, which it has at 6.625. The fifth was
  // refused by both, and is behind the sixth.
  assertEquals(ends.map(([, end]) => end), [3.625, 3.625, 6.125, 6.125, 12.125, 9.625]);
});

function randomOptions(random: Random): FleetOptions {
  const maxRunning = random.integer(1, 6);
  return {
    replicas: random.integer(1, 3),
    maxRunning,
    maxStepTokens: maxRunning + random.integer(0, 20),
    stepsPerRead: random.integer(1, 8),
    maxQueue: random.integer(1, 4),
    pages: { total: random.integer(8, 40), pageSize: random.integer(4, 9) },
    times: TIMES,
    overheadSeconds: random.pick([0, 0.3]),
  };
}

function randomRequests(random: Random, rate: number, count: number): FleetRequest[] {
  const lengths = { prompt: { least: 1, most: 20 }, answer: { least: 1, most: 12 } };
  return drawRequests({ rate, ...lengths }, { count, seed: random.integer(0, 2 ** 31) });
}

testRandomly(
  "Fleet: every request ends once, after it came, and pages are whole at the end",
  (random) => {
    let setBacks = 0;
    // Pages run out in some round, if not in these.
    for (let round = 0; round < 20 || setBacks === 0; round++) {
      assert(round < 500);
      const options = randomOptions(random);
      const asked = randomRequests(random, 0.05 * options.replicas, 60);
      const { requests, replicas } = simulate(asked, options);
      assertEquals(requests.length, asked.length);
      requests.forEach(({ request, generated, firstAt, endAt }, i) => {
        assertEquals(request, asked[i]);
        assertEquals(generated, request.answer);
        assert(request.at < firstAt && firstAt <= endAt);
      });
      for (const { availablePages, load, counts } of replicas) {
        assertEquals(availablePages, options.pages.total);
        assertEquals(load, { running: 0, waiting: 0 });
        setBacks += counts.setBacks;
      }
      assertEquals(simulate(asked, options).requests, requests, "the same again");
    }
  },
);

Deno.test("Fleet: a queue of one server and steps of one length waits as long as M/D/1", () => {
  const times = { readSeconds: 0, stepSeconds: () => 1, excessSeconds: () => 0 };
  const options = { ...ONE, maxRunning: 1, maxStepTokens: 1, stepsPerRead: 1, times };
  const one = { least: 1, most: 1 };
  for (const load of [0.3, 0.7]) {
    const asked = drawRequests({ rate: load, prompt: one, answer: one }, {
      count: 20_000,
      seed: 1,
    });
    const { requests } = simulate(asked, options);
    const waits = requests.map(({ request, endAt }) => endAt - request.at - 1);
    const mean = waits.reduce((sum, wait) => sum + wait, 0) / waits.length;
    const expected = load / (2 * (1 - load));
    assertAlmostEquals(mean, expected, 0.08 * expected, `load ${load}`);
  }
});

testRandomly("Fleet: the closer requests come, the longer they take", (random) => {
  const options = { ...randomOptions(random), replicas: 1 };
  const seed = random.integer(0, 2 ** 31);
  const means = [0.001, 0.01, 0.02, 0.05, 1].map((rate) => {
    const lengths = { prompt: { least: 1, most: 20 }, answer: { least: 1, most: 12 } };
    const { requests } = simulate(
      drawRequests({ rate, ...lengths }, { count: 400, seed }),
      options,
    );
    return requests.reduce((sum, { request, endAt }) => sum + endAt - request.at, 0) / 400;
  });
  for (let i = 1; i < means.length; i++) assert(means[i] > means[i - 1], `${means}`);
});
