// Runs the tests on other adapters than this machine's best: without optional features, and on SwiftShader.

import { Arguments } from "../cli/shared/arguments.ts";
import { exitCodeOf, terminal } from "../cli/shared/run.ts";
import { swiftShader } from "./swiftshader.ts";

/** What another driver may break, in few minutes on a slow one. It takes minutes to compile the tiles of other devices. */
const SUBSET = [
  "gpu/device",
  "tensor/tensor",
  "gpu/kernel",
  "gpu/bound_work",
  "attend/attention_relations",
  "attend/attention_values",
  "cache/ring_kv_cache_relations",
].map((name) => `tests/${name}_test.ts`);

async function test(title: string, options: string[], env: Record<string, string>) {
  console.log(`\n== ${title}`);
  const command = new Deno.Command("sh", { args: ["tools/run", "test", ...options], env });
  return (await command.spawn().status).success;
}

async function main(): Promise<boolean> {
  const passed = [
    await test("without subgroups, default limits, invocations in reverse", ["--", "--plain"], {}),
  ];
  const env = await swiftShader();
  if (env) {
    passed.push(await test("SwiftShader: subgroups of 4, no f16", SUBSET, env));
  } else {
    console.log("\n== SwiftShader is not tested: it comes with Debian's package chromium");
  }
  return passed.every(Boolean);
}

const HELP =
  `Runs the tests on other adapters than this machine's best: all of them without subgroups, on default limits and
with invocations in reverse, and a part of them on SwiftShader, where Debian's package chromium brings it. Ten minutes.

Usage: deno task adapters [options]

  --help  this text`;

Deno.exit(
  await exitCodeOf(async () => {
    const { isHelp } = new Arguments("test on other adapters", Deno.args, { names: [] });
    if (isHelp) return console.log(HELP);
    if (!await main()) throw new Error("Some tests failed.");
  }, terminal),
);
