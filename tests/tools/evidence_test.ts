// The steps of evidence: what they are, and how they end.
import { assert, assertEquals } from "@std/assert";
import { parseOptions } from "../../bench/options.ts";
import { parseLinearOptions } from "../../bench/linear/options.ts";
import config from "../../deno.json" with { type: "json" };
import { CANNOT_RUN, minutesFor, outcomeOf, stepsInto } from "../../tools/evidence/steps.ts";

Deno.test("evidence: each step is a task with options that it knows, and leaves a file of its own", () => {
  for (const isShort of [false, true]) {
    const steps = stepsInto("out", isShort);
    assertEquals(new Set(steps.map(({ name }) => name)).size, steps.length);
    for (const { name, command: [program, ...args] } of steps) {
      if (program !== "sh") continue;
      const [run, task, ...options] = args;
      assertEquals(run, "tools/run");
      assert(Object.hasOwn(config.tasks, task), task);
      if (task === "bench" && options[0] === "linear") {
        assert(typeof parseLinearOptions(options.slice(1)) === "object");
      } else if (task === "bench") assert(typeof parseOptions(options) === "object");
      if (task !== "test") assert(options.includes(`out/${name}.json`), name);
    }
  }
});

Deno.test("evidence: a step takes what is left of the time, and its code says how it ended", () => {
  const step = { name: "a", command: ["true"], minutes: 2 };
  assertEquals([5, 2, 0.5, 0, -1].map((left) => minutesFor(step, left)), [2, 2, 0.5, 0, 0]);
  assertEquals([0, 1, CANNOT_RUN].map((code) => outcomeOf(code, false)), [
    ...["passed", "failed", "skipped"],
  ]);
  assertEquals(outcomeOf(143, true), "out of time");
});
