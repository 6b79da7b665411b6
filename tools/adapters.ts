// Runs the tests on other adapters than this machine's best: without optional features, and on SwiftShader.

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

/** The Vulkan driver that Debian's chromium brings: subgroups of 4, no f16. Nothing where that is not installed. */
async function swiftShader(): Promise<string | undefined> {
  try {
    const args = ["-L", "chromium", "chromium-common"];
    const { stdout } = await new Deno.Command("dpkg", { args, stderr: "null" }).output();
    const files = new TextDecoder().decode(stdout).split("\n");
    return files.find((file) => file.endsWith("/vk_swiftshader_icd.json"));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

async function test(title: string, options: string[], env: Record<string, string>) {
  console.log(`\n== ${title}`);
  const command = new Deno.Command("sh", { args: ["tools/run", "test", ...options], env });
  return (await command.spawn().status).success;
}

const passed = [await test("without subgroups, default limits", ["--", "--plain"], {})];
const driver = await swiftShader();
if (driver) {
  const env = { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver };
  passed.push(await test("SwiftShader: subgroups of 4, no f16", SUBSET, env));
} else {
  console.log("\n== SwiftShader is not tested: it comes with Debian's package chromium");
}
Deno.exit(passed.every(Boolean) ? 0 : 1);
