// The commands of long runs: their help, and what they refuse. Their short forms are tests beside them.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand as chaos } from "./chaos/main.ts";
import { runCommand as fleet } from "./fleet/main.ts";
import { runCommand as fuzz } from "./fuzz/main.ts";
import { runCommand as load } from "./load/main.ts";
import { runCommand as shards } from "./shards/main.ts";
import { runCommand as soak } from "./soak/main.ts";
import { inFolder } from "./support/checkpoint_files.ts";
import { run } from "./support/commands.ts";
import { longRun } from "./support/long_run.ts";

const { default: config } = await import("../deno.json", { with: { type: "json" } });

for (const [task, command] of Object.entries({ chaos, fleet, fuzz, load, shards, soak })) {
  Deno.test(`${task}: help, and options that are refused`, async () => {
    const { description, command: line } = config.tasks[task as keyof typeof config.tasks];
    assertStringIncludes(line, ` tests/${task}/main.ts`);
    assertStringIncludes(description, "(--help lists the options)");
    const help = await run(command, "--help");
    assertEquals([help.code, help.err], [0, ""]);
    assertStringIncludes(help.out, `Usage: deno run ${task} [options]`);
    const refused = async (says: string, ...args: string[]) => {
      const { code, out, err } = await run(command, ...args);
      assertEquals([code, out], [2, ""]);
      assertStringIncludes(err, says);
    };
    await refused(`Cannot run ${task} as --sed is unknown (did you mean --seed?)`, "--sed", "1");
    await refused("--seed takes whole numbers of at least 0: current value -1", "--seed=-1");
    await refused("--json needs a value", "--json");
  });
}

/** A run that draws numbers, and has such faults. */
function drawing(...faults: string[]) {
  const about = { summary: "Draws.", task: "draw", counted: "numbers", counts: "draws", count: 2 };
  return longRun(about, ({ count, random, log }) => {
    const drawn = Array.from({ length: count }, () => random.integer(0, 999));
    log(`${drawn}`);
    return Promise.resolve({ drawn, faults });
  });
}

Deno.test("long runs: a seed that was printed repeats a run, and the result is written", async () => {
  await inFolder({}, async (folder) => {
    const json = `${folder}/a.json`;
    const first = await run(drawing(), "--numbers", "5", "--json", json);
    const [, seed, drawn] = first.out.match(/^seed (\d+)\n(\S+)\n$/)!;
    const numbers = drawn.split(",").map(Number);
    const written = JSON.parse(await Deno.readTextFile(json));
    assertEquals(written, { seed: Number(seed), drawn: numbers, faults: [] });
    const again = await run(drawing(), "--numbers", "5", "--seed", seed);
    assertEquals([again.code, again.out], [0, first.out]);
    assertEquals(numbers.length, 5);
  });
});

Deno.test("long runs: faults, and a run that fails, end with 1", async () => {
  const wrong = await run(drawing("one is odd", "one is even"));
  assertEquals([wrong.code, wrong.err], [1, "Error: faults: 2\none is odd\none is even\n"]);
  const about = { summary: "Fails.", task: "fail", counted: "times", counts: "times", count: 1 };
  const failing = await run(longRun(about, () => Promise.reject(new RangeError("too few"))));
  assertEquals(failing.code, 1);
  // With the place.
  assertStringIncludes(failing.err, "RangeError: too few");
  assertStringIncludes(failing.err, "long_runs_test.ts");
});
