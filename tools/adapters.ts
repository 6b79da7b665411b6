// Runs the tests on other adapters than this machine's best: without optional features, and on SwiftShader.

import { swiftShader } from "./swiftshader.ts";

/** What another driver may break, in few minutes on a slow one. It takes minutes to compile the tiles of other devices. */
const SUBSET = [
  "device",
  "tensor",
  "kernel",
  "bound",
  "attention_relations",
  "attention_values",
  "ring_kv_cache_relations",
].map((name) => `tests/${name}_test.ts`);

async function test(title: string, options: string[], env: Record<string, string>) {
  console.log(`\n== ${title}`);
  const command = new Deno.Command("sh", { args: ["tools/run", "test", ...options], env });
  return (await command.spawn().status).success;
}

const passed = [
  await test("without subgroups, default limits, invocations in reverse", ["--", "--plain"], {}),
];
const env = await swiftShader();
if (env) {
  passed.push(await test("SwiftShader: subgroups of 4, no f16", SUBSET, env));
} else {
  console.log("\n== SwiftShader is not tested: it comes with Debian's package chromium");
}
Deno.exit(passed.every(Boolean) ? 0 : 1);
