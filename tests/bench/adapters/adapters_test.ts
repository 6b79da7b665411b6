// The bench by workers: a row for each adapter; what workers take and refuse; and what is said where one fails.
import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { answerOnce } from "../../../bench/adapters/answer.ts";
import { BENCH_SERVICE, readAsked } from "../../../bench/adapters/asked.ts";
import type { AdapterReport } from "../../../bench/adapters/measure.ts";
import { formatAdapters } from "../../../bench/adapters/table.ts";
import { runCommand } from "../../../bench/command.ts";
import { type BenchOptions, parseOptions } from "../../../bench/options.ts";
import type { Result } from "../../../bench/result.ts";
import {
  AnswerService,
  MessageError,
  WorkerBusyError,
  WorkerLostError,
} from "../../../src/cluster/mod.ts";
import { makeReport, makeResult } from "../../support/bench_reports.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";
import { sharedGpu } from "../../support/gpu.ts";
import { NatsServer, testNats } from "../../support/nats.ts";

/** The smallest case of the bench. */
const SMALL = ["--models", "Shazeer-2019", "--phase", "decode", "--context", "8", "--quick"];
const none = { options: {}, quick: true };

/** Answers as a worker does. */
async function startWorker(
  server: NatsServer,
  adapter: string,
  answer: () => AsyncGenerator<unknown[]>,
  fingerprint: string = BENCH_SERVICE.fingerprint,
) {
  await AnswerService.start(await server.join(), {
    ...{ ...BENCH_SERVICE, fingerprint, state: () => ({ adapter }) },
    answer: () => ({ cancel() {}, [Symbol.asyncIterator]: answer }),
  });
}

testNats("bench --nats: each worker measures its adapter, and has a row", async () => {
  await using server = await NatsServer.start();
  const gpu = await sharedGpu();
  // To measure those takes half a minute.
  const { roofline } = makeReport([]);
  const ceilings = () => Promise.resolve(roofline);
  for (const adapter of ["first", "second"]) {
    await AnswerService.start(await server.join(), {
      ...{ ...BENCH_SERVICE, state: () => ({ adapter }), answer: answerOnce(gpu, ceilings) },
    });
  }
  await inFolder({}, async (folder) => {
    const json = `${folder}/a.json`;
    const nats = ["--nats", server.url, "--nats-prefix", "test", "--in-turns", "--json", json];
    const { code, out, err } = await run(runCommand, ...SMALL, ...nats);
    assertEquals(code, 0, err);
    assertStringIncludes(err, "Workers that measure: 2\n");
    for (const variant of ["MHA", "GQA", "MQA"]) {
      assert(new RegExp(`^decode ${variant}, fused, f32 +1 `, "m").test(out), out);
    }
    const { adapters }: { adapters: AdapterReport[] } = JSON.parse(await Deno.readTextFile(json));
    assertEquals(adapters.map(({ adapter }) => adapter).sort(), ["first", "second"]);
    for (const { report } of adapters) {
      assertEquals(report!.adapter.description, gpu.description.description);
      assertEquals(report!.results.map(({ variant }) => variant), ["mha", "gqa", "mqa"]);
      assert(
        report!.results.every(({ medianMs, maxAbsError }) => medianMs > 0 && maxAbsError! < 1),
      );
      assertEquals(report!.roofline, roofline);
      assert(report!.firstUse.length > 0);
    }
  });
});

testNats("bench --nats: a worker that fails has a reason, and the others their rows", async () => {
  await using server = await NatsServer.start();
  const both = [makeResult(), makeResult({ variant: "mqa", numKvHeads: 1 })];
  const { adapter, roofline, firstUse, results } = makeReport(both);
  await startWorker(server, "whole", async function* () {
    yield [{ adapter }, { roofline }];
    yield [{ results: results.slice(0, 1) }];
    yield [{ results: results.slice(1) }, { firstUse }];
  });
  await startWorker(server, "lost", async function* () {
    yield [{ adapter }];
    throw new WorkerLostError("its device was lost");
  });
  await startWorker(server, "odd", async function* () {
    yield [{ adapter, results: [{ seqLen: "?" }] }];
  });
  await startWorker(server, "broken", async function* () {
    yield [{ adapter }];
    throw new Error("the GPU refused it");
  });
  await startWorker(server, "small", async function* () {
    yield [{ adapter }];
    throw new RangeError("its limits are too low");
  });
  await startWorker(server, "empty", async function* () {
    yield [null];
  });
  await startWorker(server, "numbered", async function* () {
    yield [{ adapter, results: 5 }];
  });
  await startWorker(server, "other", async function* () {}, "0");
  const nats = ["--nats", server.url, "--nats-prefix", "test"];
  const { code, out, err } = await run(runCommand, ...SMALL, ...nats);
  assertEquals(code, 1, err);
  assertStringIncludes(err, "Workers that measure: 7\n");
  assert(out.split("\n").some((line) => line.startsWith("whole ")), out);
  const failures = [
    ["lost", "its device was lost"],
    ["odd", "Cannot read"],
    ["broken", "the GPU refused it"],
    ["small", "its limits are too low"],
    ["empty", "Cannot read a part of a report: 0"],
    ["numbered", "Cannot read a part of a report: 0.results"],
  ];
  for (const [worker, says] of failures) {
    assert(
      out.split("\n").some((line) => line.includes(`FAILED: ${worker}: `) && line.includes(says)),
    );
  }
  assert(!out.includes("other"));
});

testNats("bench --nats: without workers, or without a server, exits with 2", async () => {
  await using server = await NatsServer.start();
  await startWorker(server, "other", async function* () {}, "0");
  const refused = async (url: string, says: string) => {
    const line = ["--nats", url, "--nats-prefix", "test", "--wait", "1"];
    const { code, out, err } = await run(runCommand, ...SMALL, ...line);
    assertEquals([code, out], [2, ""], err);
    assertStringIncludes(err, says);
  };
  await refused(server.url, "(start one: deno run worker --bench): workers of other versions 1");
  await refused("nats://127.0.0.1:1", "nats-server --jetstream");
});

testNats(
  "bench --nats: a worker that stops before it is asked leaves the bench waiting",
  async () => {
    await using server = await NatsServer.start();
    let questions = 0;
    await AnswerService.start(await server.join(), {
      ...BENCH_SERVICE,
      // Who says nothing of itself is stopping.
      state: () => questions++ === 0 ? { adapter: "gone" } : null,
      answer: () => ({ cancel() {}, async *[Symbol.asyncIterator]() {} }),
    });
    const nats = ["--nats", server.url, "--nats-prefix", "test", "--wait", "1"];
    const { code, out, err } = await run(runCommand, ...SMALL, ...nats);
    assertEquals([code, out], [2, ""], err);
    assert(questions > 1);
    assertStringIncludes(err, "no worker answered for 1 s");
  },
);

Deno.test("bench --nats: a worker takes names and numbers of the bench's own, and no more", () => {
  const options = { models: "Shazeer-2019", phase: "decode", context: "8,16", impl: "fused" };
  const { groups } = readAsked({ options, quick: false });
  assertEquals(groups.map(([{ contextLen }]) => contextLen), [8, 16]);
  assertEquals(readAsked(none).groups, (parseOptions(["--quick"]) as BenchOptions).groups);
  const whole = readAsked({ options: {}, quick: false });
  assertEquals(whole.groups, (parseOptions([]) as BenchOptions).groups);
  const wrong: [asked: unknown, error: new (message: string) => Error, says: string][] = [
    [undefined, MessageError, "read what to measure"],
    [{ options: { json: "a.json" }, quick: true }, MessageError, "read what to measure"],
    [{ options: { input: "/etc/passwd" }, quick: true }, MessageError, "read what to measure"],
    [{ options: { heads: "99999999" }, quick: true }, MessageError, "read what to measure"],
    [{ options: { models: 7 }, quick: true }, MessageError, "read what to measure"],
    [{ options: { models: "--json=a" }, quick: true }, RangeError, "no model"],
    [{ options: { phase: "none" }, quick: true }, RangeError, "--phase"],
    [{ options: { batch: "9999999" }, quick: true }, RangeError, "batch=9999999"],
    // Each of its 32 copies fits.
    [
      { options: { models: "DeepSeek-V3", phase: "prefill", context: "1500" }, quick: false },
      ...[RangeError, "contextLen=1500"] as const,
    ],
  ];
  for (const [asked, error, says] of wrong) assertThrows(() => readAsked(asked), error, says);
});

Deno.test("bench --nats: a worker measures for one asker at a time", async () => {
  const answer = answerOnce(await sharedGpu());
  const first = answer(none);
  assertThrows(() => answer(none), WorkerBusyError);
  first.cancel();
  // Its adapter is said before anything is measured.
  for await (const [part] of first) assertEquals(Object.keys(part as object), ["adapter"]);
  answer(none);
});

Deno.test("bench --nats: options are read, and those that do not go with it refused", () => {
  const parse = (line: string) => parseOptions(line.split(" ")) as BenchOptions;
  const { cluster, isInTurns, asked } = parse("--nats nats://h --models GPT-2 --quick --in-turns");
  assertEquals(cluster, { url: "nats://h", prefix: "onehead", wait: 60_000 });
  assertEquals([isInTurns, asked], [true, { options: { models: "GPT-2" }, quick: true }]);
  const mistakes = [
    ["--in-turns", "--in-turns needs --nats"],
    ["--nats nats://h --svg a.svg", "--svg goes without --nats"],
    ["--nats nats://h --heads 8", "--heads goes without --nats"],
    ["--nats nats://h --peers", "--peers goes without --nats"],
    ["tune --nats nats://h", "--nats goes without tune"],
    ["--wait 3", "--wait needs --nats"],
  ];
  for (const [line, says] of mistakes) assertThrows(() => parse(line), RangeError, says);
});

Deno.test("bench --nats: the table has the mean over the cases that all adapters measured", () => {
  const rate = (tokensPerSecond: number, contextLen: number, more: Partial<Result> = {}): Result =>
    makeResult({ phase: "decode", variant: "mqa", tokensPerSecond, contextLen, ...more });
  const [staged, f32] = [{ impl: "staged" }, { dtype: "f32" as const }];
  const int8 = { kvDtype: "int8" as const };
  const table = formatAdapters([
    {
      adapter: "one",
      report: makeReport([
        ...[rate(100, 1), rate(400, 2), rate(9999, 3), rate(50, 1, staged)],
        ...[rate(5, 1, f32), rate(7, 1, int8)],
      ]),
    },
    {
      adapter: "two",
      report: makeReport([
        ...[rate(20, 1, staged), rate(8, 1, int8), rate(300, 1), rate(300, 2)],
        { ...rate(1, 3), failure: "no" },
      ]),
    },
    { adapter: "three", failure: "it ended" },
  ]);
  const rows = table.split("\n").map((line) => line.trim().split(/ {2,}/));
  assertEquals(rows.slice(0, 4).map(([adapter]) => adapter), ["adapter", "one", "two", "three"]);
  assertEquals(rows[3].slice(1), ["-", "-", "-"]);
  assertEquals(rows.slice(6, 10), [
    ["kind", "cases", "one", "two"],
    ["decode MQA, fused, f16", "2", "200.00", "300.00"],
    ["decode MQA, staged, f16", "1", "50.00", "20.00"],
    ["decode MQA, fused, f16, K and V in int8", "1", "7.00", "8.00"],
  ]);
  assertStringIncludes(table, "FAILED: three: it ended");
  assertStringIncludes(table, "mqa: no");
});

Deno.test("bench --nats: without a case that all adapters measured there are no rates", () => {
  const report = makeReport([makeResult()]);
  const table = formatAdapters([
    { adapter: "one", report },
    { adapter: "two", report: makeReport([{ ...makeResult(), failure: "no" }]) },
  ]);
  assert(!table.includes("Tokens per second"), table);
  assertStringIncludes(table, "FAILED: two: ");
});
