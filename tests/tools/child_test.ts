// Commands that tools run: whoever ends the tool ends the command.
import { assertEquals } from "@std/assert";

const CHILD = import.meta.resolve("../../tools/child.ts");
const { state } = await Deno.permissions.query({ name: "run", command: Deno.execPath() });

/** Sends a signal to a process that runs `code` by the tool, once it has printed; returns its exit code and its lines. */
async function signalled(signal: Deno.Signal, code: string) {
  const tool = `import { runDeno } from ${JSON.stringify(CHILD)};
    Deno.exit(await runDeno(["eval", "--no-config", ${JSON.stringify(code)}]));`;
  const args = ["eval", "--no-config", tool];
  const process = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  let text = "";
  for await (const piece of process.stdout.pipeThrough(new TextDecoderStream())) {
    if (text === "") process.kill(signal);
    text += piece;
  }
  return { code: (await process.status).code, lines: text.trim().split("\n") };
}

/** Waits to be ended. */
const WAIT = "setInterval(() => {}, 1000);";

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
  Deno.test({
    name: `child: ${signal} to the tool reaches the command, whose exit code counts`,
    ignore: state !== "granted" || Deno.build.os === "windows",
    fn: async () => {
      const listen =
        `Deno.addSignalListener("${signal}", () => (console.log("ends"), Deno.exit(7)));`;
      const result = await signalled(signal, `${listen} console.log("ready"); ${WAIT}`);
      assertEquals(result, { code: 7, lines: ["ready", "ends"] });
    },
  });
}

Deno.test({
  name: "child: a command that a signal ends has no exit code of its own",
  ignore: state !== "granted" || Deno.build.os === "windows",
  fn: async () => {
    // The output ends only when the command has, too.
    const { code } = await signalled("SIGTERM", `console.log("ready"); ${WAIT}`);
    assertEquals(code, 128 + 15);
  },
});
