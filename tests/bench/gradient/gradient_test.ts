// Gradients of the bench: errors and times by numbers made by hand, and the command from end to end.
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { runGradient } from "../../../bench/gradient/command.ts";
import {
  fillInTimes,
  type GradientResult,
  measureGradient,
} from "../../../bench/gradient/measure.ts";
import {
  type GradientBenchOptions,
  parseGradientOptions,
} from "../../../bench/gradient/options.ts";
import type { Peer } from "../../../bench/peers/peer.ts";
import { formatGradients } from "../../../bench/gradient/table.ts";
import { errorOf } from "../../../bench/gradient/verify.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";
import { sharedGpu } from "../../support/gpu.ts";

const CASE = { tokens: 20, numHeads: 4, numKvHeads: 2, headDim: 8 };
const EFFORT = { minRounds: 2, maxRounds: 2, budgetMs: 0 };
const ROW: GradientResult = {
  ...{ ...CASE, system: "onehead", what: "forward", medianMs: 1, minMs: 1, p90Ms: 1, samples: 1 },
  ...{ timesOurs: null, maxRelativeError: null, bytes: null },
};

Deno.test("bench gradient: errors are relative to the largest element, and NaN never passes", () => {
  const inputs = {
    ...{ q: Float32Array.of(1, 2), k: Float32Array.of(4), v: Float32Array.of(1) },
    dO: Float32Array.of(1, 1),
  };
  const expected = { dq: [1, -4], dk: [2], dv: [10] };
  assertEquals(errorOf(inputs, expected, expected), 0);
  assertEquals(errorOf(inputs, { ...expected, dq: [1, -3] }, expected), 0.25);
  assertEquals(errorOf(inputs, { ...expected, dv: [NaN] }, expected), NaN);
  assertEquals(errorOf(inputs, { ...expected, dk: [] }, expected), NaN);
  // Without a reference: q . dq = 1 - 8 and k . dk = -7, of magnitudes 9 and 7.
  const balanced = { dq: [1, -4], dk: [-7 / 4], dv: [3] };
  assertEquals(errorOf(inputs, balanced, undefined), 0);
  assertEquals(errorOf(inputs, { ...balanced, dk: [0.5] }, undefined), 1);
  assertEquals(errorOf(inputs, { ...balanced, dv: [Infinity] }, undefined), NaN);
});

Deno.test("bench gradient: backward is held against our forward, others against both", () => {
  const rows: GradientResult[] = [
    ROW,
    { ...ROW, what: "backward" },
    { ...ROW, what: "forward + backward" },
    { ...ROW, system: "other", what: "forward + backward" },
  ];
  fillInTimes(rows, [[1, 2], [3, 6], [4, 8], [40, 80]]);
  assertEquals(rows.map(({ timesOurs }) => timesOurs), [1, 3, 1, 10]);
  assertEquals(rows.map(({ medianMs }) => medianMs), [1.5, 4.5, 6, 60]);
});

Deno.test("bench gradient: ours is right, and a system that is wrong or cannot is not timed", async () => {
  const wrong: Pick<Peer, "name" | "prepareGradient"> = {
    name: "wrong",
    prepareGradient: ({ tokens }) =>
      Promise.resolve({
        run: () => Promise.resolve(),
        gradients: () => {
          const zeros = (heads: number) => new Float32Array(tokens * heads * 8);
          return Promise.resolve({ dq: zeros(4), dk: zeros(2), dv: zeros(2) });
        },
        destroy() {},
      }),
  };
  const absent: Pick<Peer, "name" | "prepareGradient"> = {
    name: "absent",
    prepareGradient: () => Promise.reject(new Error("not here")),
  };
  const rows = await measureGradient(await sharedGpu(), CASE, [wrong, absent], EFFORT);
  assertEquals(rows.map(({ failure }) => failure), [
    ...[undefined, undefined, undefined],
    ...["wrong: error 1.0e+0", "not here"],
  ]);
  const [, , both, other] = rows;
  assert(both.maxRelativeError! < 1e-5 && both.medianMs > 0);
  // q, o, dO, dq and lse; k, v, dk and dv; a state of 16 bytes for each row, and dk and dv in f32.
  assertEquals(
    both.bytes,
    4 * (20 * 4 * (4 * 8 + 1) + 20 * 2 * 8 * 4) + 20 * 4 * 16 + 20 * 2 * 8 * 8,
  );
  assertEquals(other.samples, 0);
  const lines = formatGradients(rows).split("\n");
  assertMatch(lines[1], /^ +20 {2}4 over 2 x 8 {2}onehead {2}forward /);
  assertStringIncludes(lines[4], "FAILED: wrong");
});

Deno.test("bench gradient: options, and a run that writes JSON", async () => {
  const { cases, peers } = parseGradientOptions([]) as GradientBenchOptions;
  assertEquals(cases.map(({ tokens, numKvHeads }) => [tokens, numKvHeads]), [[1024, 8], [1024, 1]]);
  assertEquals(peers, false);
  assertThrows(() => parseGradientOptions(["--tokens", "0"]), RangeError, "--tokens");
  assertThrows(() => parseGradientOptions(["--kvheads", "1"]), TypeError, "--kv-heads");
  assertStringIncludes(parseGradientOptions(["--help"]) as string, "bench gradient");
  await inFolder({}, async (folder) => {
    const size = ["--tokens", "9", "--heads", "2", "--kv-heads", "1", "--head-dim", "8"];
    const { code, out } = await run(runGradient, ...size, "--quick", "--json", `${folder}/a.json`);
    assertEquals(code, 0);
    assertStringIncludes(out, "forward + backward");
    const { rows, schema } = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    assertEquals([schema, rows.length, rows[0].tokens], [1, 3, 9]);
    const unwritable = await run(runGradient, "--json", `${folder}/missing/a.json`);
    assertEquals(unwritable.code, 2);
    const undivided = await run(runGradient, "--heads", "3", "--kv-heads", "2", "--tokens", "2");
    assertEquals(undivided.code, 2);
  });
});
