// The explanations of the bench, on this adapter.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { explainCases, kernelsOfCases } from "../../bench/explain.ts";
import { parseOptions } from "../../bench/options.ts";
import { sharedGpu } from "../support/gpu.ts";

function casesOf(line: string) {
  const options = parseOptions(line.split(" "));
  assert(typeof options !== "string");
  return options.groups.flat();
}

const TWO = casesOf("--heads 4 --kv-heads 1 --head-dim 16 --seq 1 --context 40,50 --impl staged");

Deno.test("explainCases() has the plan of each case under its name", async () => {
  const explained = explainCases(await sharedGpu(), TWO);
  for (const context of [40, 50]) {
    assertStringIncludes(explained, `4x16, decode, context ${context}, mqa\n  staged `);
  }
});

Deno.test("kernelsOfCases() has each kernel once, under all cases that run it, as the device takes it", async () => {
  const gpu = await sharedGpu();
  const kernels = kernelsOfCases(gpu, TWO);
  for (const label of ["scores", "softmax", "weighted sum"]) {
    const title = (context: number) => `// ${label}: 4x16, decode, context ${context}, mqa\n`;
    assertStringIncludes(kernels, title(40) + title(50));
  }
  const texts = kernels.split(/(?:^\/\/ .*\n)+/m).slice(1);
  assertEquals(texts.length, 3);
  for (const code of texts) {
    await gpu.guard("compile", () => gpu.device.createShaderModule({ code }));
  }
});

Deno.test("kernelsOfCases() says why a case has no kernel", async () => {
  const [case_] = TWO;
  const kernels = kernelsOfCases(await sharedGpu(), [{ ...case_, contextLen: 2 ** 40 }]);
  assertStringIncludes(
    kernels,
    "// 4x16, decode, context 1099511627776, mqa: Cannot plan attention as",
  );
});
