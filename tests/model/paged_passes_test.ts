// The two ways in which software reads the keys of passes that add up alike.
import { assert, assertEquals } from "@std/assert";
import { type AttentionSpec, planAttention } from "../../mod.ts";
import { withoutTextures } from "../../src/model/paged_passes.ts";
import { LIMITS, PROFILES } from "../support/plan.ts";

/** A prefill of 4 sequences in pages. */
const PREFILL: AttentionSpec = {
  ...{ numHeads: 6, numKvHeads: 2, headDim: 32, capacity: 256, batch: 4, tokens: 256, seqLen: 256 },
  pages: { size: 16, count: 64 },
};

/** The strips of the plan with textures, and of the one that stands in for it; undefined where none does. */
function stripsOf(spec: AttentionSpec, name: string): [number, number | undefined] {
  const device = { limits: LIMITS, profile: PROFILES[name] };
  const plan = planAttention(spec, device.limits, device.profile);
  assert(plan.impl === "fused" && plan.texels);
  const options = withoutTextures(spec, plan, device);
  if (!options) return [plan.strips, undefined];
  const stored = planAttention(options, device.limits, device.profile);
  assert(stored.impl === "fused" && !stored.texels);
  return [plan.strips, stored.strips];
}

Deno.test("paged passes: a plan without textures stands in where it adds up in the same order", () => {
  const long = "software with long loads";
  assertEquals(stripsOf(PREFILL, "software"), [1, 1]);
  // Two packs at once: half as many lanes for a value.
  assertEquals(stripsOf(PREFILL, long), [1, undefined]);
  assertEquals(stripsOf({ ...PREFILL, headDim: 128 }, long), [1, 1]);
});
