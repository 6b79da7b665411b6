// The bench as a command: what it was given is checked before anything is measured, and old results stay until there are new.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../bench/command.ts";
import { inFolder } from "../support/checkpoint_files.ts";
import { run } from "../support/commands.ts";

const SMALL = "--heads 2 --head-dim 8 --context 16 --quick".split(" ");

/** Runs a test on a machine without an adapter; returns how often one was asked for. */
async function withoutAdapter(test: () => Promise<void>): Promise<number> {
  let asked = 0;
  const requestAdapter = () => (asked++, Promise.resolve(null));
  Object.defineProperty(navigator, "gpu", { value: { requestAdapter }, configurable: true });
  try {
    await test();
  } finally {
    delete (navigator as { gpu?: unknown }).gpu;
  }
  return asked;
}

for (const option of ["--json", "--svg"]) {
  Deno.test(`bench: where ${option} cannot be written, nothing is measured`, async () => {
    await inFolder({}, async (folder) => {
      const asked = await withoutAdapter(async () => {
        for (const command of [[], ["tune"], ["matrix"]]) {
          if (command.length > 0 && option === "--svg") continue;
          const path = `${folder}/missing/a`;
          const { code, err } = await run(runCommand, ...command, option, path);
          assertEquals(code, 2);
          assertStringIncludes(err, `Cannot run the bench as ${path} cannot be written`);
        }
      });
      assertEquals(asked, 0);
    });
  });
}

Deno.test("bench: without an adapter the old results stay, and no empty ones come", async () => {
  const old = new TextEncoder().encode("old");
  await inFolder({ "a.json": old }, async (folder) => {
    await withoutAdapter(async () => {
      const files = ["--json", `${folder}/a.json`, "--svg", `${folder}/a.svg`];
      const { code, err } = await run(runCommand, ...SMALL, ...files);
      assertEquals(code, 1);
      assertStringIncludes(err, "GpuUnavailableError: Cannot open a GPU as there is no adapter");
    });
    assertEquals(await Deno.readTextFile(`${folder}/a.json`), "old");
    assertEquals(Array.from(Deno.readDirSync(folder), ({ name }) => name), ["a.json"]);
  });
});

Deno.test("bench: what it is given wrongly is told, with exit code 2", async () => {
  const { code, out, err } = await run(runCommand, "--modles", "a");
  assertEquals([code, out], [2, ""]);
  assertStringIncludes(err, "TypeError: Cannot run the bench as ");
});
