// The examples run, and are right. Those that share a device with a package of npm run in `deno task runtimes`, which
// fetches it; the page in `examples/browser` does in its Chromium.
import { assertLess } from "@std/assert";
import { TOLERANCE } from "../support/compare.ts";

/** Each checks itself and exports how far it is from the reference. */
const EXAMPLES: Record<string, () => Promise<{ error: number }>> = {
  decode_loop: () => import("../../examples/decode_loop.ts"),
  shards: () => import("../../examples/shards.ts"),
};

for (const [name, run] of Object.entries(EXAMPLES)) {
  Deno.test(`examples/${name}.ts`, async () => {
    assertLess((await run()).error, TOLERANCE.f32);
  });
}
