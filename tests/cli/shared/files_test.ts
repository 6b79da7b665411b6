// Files that commands read and write: the old one stays whole, and what cannot be read or written is told in time.
import { open } from "node:fs/promises";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Files } from "../../../cli/shared/files.ts";
import { inFolder } from "../../support/checkpoint_files.ts";

const files = new Files("test");
const { state } = await Deno.permissions.query({ name: "run", command: "mkfifo" });
const OLD = new TextEncoder().encode("old");

function namesIn(folder: string): string[] {
  return Array.from(Deno.readDirSync(folder), ({ name }) => name).sort();
}

/** Runs a test while files that are opened for writing fail in one of their methods, as on a disk that is full. */
async function whileFailing(method: "write" | "sync", test: () => Promise<void>): Promise<void> {
  await using file = await open(new URL(import.meta.url));
  const prototype = Object.getPrototypeOf(file);
  const original = prototype[method];
  const fail = () => Promise.reject(new Error("No space left on device (os error 28)"));
  Object.assign(prototype, { [method]: fail });
  try {
    await test();
  } finally {
    Object.assign(prototype, { [method]: original });
  }
}

Deno.test("files: a file is written, and replaced with its mode, also through a link", async () => {
  await inFolder({ "a.json": OLD }, async (folder) => {
    await files.write(`${folder}/new.json`, "text");
    assertEquals(await Deno.readTextFile(`${folder}/new.json`), "text");
    await Deno.chmod(`${folder}/a.json`, 0o606);
    await Deno.symlink(`${folder}/a.json`, `${folder}/link.json`);
    await files.write(`${folder}/link.json`, "ä".repeat(100_000));
    assertEquals(await Deno.readTextFile(`${folder}/a.json`), "ä".repeat(100_000));
    assert((await Deno.lstat(`${folder}/link.json`)).isSymlink);
    assertEquals((await Deno.stat(`${folder}/a.json`)).mode! & 0o777, 0o606);
    assertEquals(namesIn(folder), ["a.json", "link.json", "new.json"]);
  });
});

for (const method of ["write", "sync"] as const) {
  Deno.test(`files: where a disk is full (${method}), the old file stays, and nothing else`, async () => {
    await inFolder({ "a.json": OLD }, async (folder) => {
      await whileFailing(method, async () => {
        for (const name of ["a.json", "new.json"]) {
          const says = `Cannot test as ${folder}/${name} cannot be written: No space left`;
          await assertRejects(() => files.write(`${folder}/${name}`, "text"), RangeError, says);
        }
      });
      assertEquals(await Deno.readTextFile(`${folder}/a.json`), "old");
      assertEquals(namesIn(folder), ["a.json"]);
    });
  });
}

Deno.test("files: checks change nothing", async () => {
  await inFolder({ "a.json": OLD }, async (folder) => {
    await files.checkWritable(`${folder}/a.json`, `${folder}/new.json`, undefined, "");
    await files.checkFolder(folder);
    await files.checkFolder(`${folder}/new/newer`);
    assertEquals(namesIn(folder), ["a.json"]);
    assertEquals(await Deno.readTextFile(`${folder}/a.json`), "old");
  });
});

Deno.test("files: what is no file is neither checked nor written as one", async () => {
  await inFolder({ "a.json": OLD }, async (folder) => {
    for (const path of [folder, "/dev/null", `${folder}/a.json/b`, `${folder}/missing/b`]) {
      for (const write of [files.checkWritable.bind(files), files.write.bind(files)]) {
        const error: RangeError = await assertRejects(() => write(path, ""), RangeError);
        assertMatch(error.message, /^Cannot test as .* cannot be written: ./);
      }
    }
    assert((await Deno.stat("/dev/null")).isCharDevice);
    for (const path of [`${folder}/a.json`, `${folder}/a.json/b`]) {
      await assertRejects(() => files.checkFolder(path), RangeError, "cannot be made");
    }
    for (const path of [folder, "/dev/zero", `${folder}/missing`]) {
      await assertRejects(() => files.readText(path), RangeError, path);
    }
    assertEquals(namesIn(folder), ["a.json"]);
  });
});

Deno.test({
  name: "files: a pipe is refused before it is opened, as nobody may be at its other end",
  ignore: state !== "granted",
  fn: async () => {
    await inFolder({}, async (folder) => {
      const pipe = `${folder}/pipe`;
      await new Deno.Command("mkfifo", { args: [pipe] }).output();
      await assertRejects(() => files.readText(pipe), RangeError, "pipe");
      await assertRejects(() => files.checkWritable(pipe), RangeError, "it is no file");
      await assertRejects(() => files.write(pipe, "text"), RangeError, "it is no file");
      assert((await Deno.lstat(pipe)).isFifo);
    });
  },
});
