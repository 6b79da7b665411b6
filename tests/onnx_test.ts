// ONNX's own node tests, through the public API.
import { assertEquals } from "@std/assert";
import { assertClose, maskedScores, TOLERANCE } from "./_compare.ts";
import { hasF16 } from "./_gpu.ts";
import { onnxCases, runOnnxAttention } from "./_onnx.ts";

/** Outputs of f16 are rounded at other places than ours. */
const HALF_TOLERANCE = 2e-3;

for (const test of onnxCases().filter(({ op }) => op === "Attention")) {
  const { name, inputs, outputs } = test;
  Deno.test(`onnx: ${name}`, async () => {
    const isHalf = inputs.Q.type === "float16";
    if (isHalf && !await hasF16()) return;
    for (const impl of ["staged", "fused"] as const) {
      const actual = await runOnnxAttention(test, impl);
      for (const [output, expected] of Object.entries(outputs)) {
        if (impl === "fused" && output === "qk_matmul_output") continue;
        assertEquals(actual[output].length, expected.data.length);
        assertClose(
          actual[output],
          maskedScores(expected.data),
          isHalf ? HALF_TOLERANCE : TOLERANCE.f32,
          `${output}, ${impl}`,
        );
      }
    }
  });
}
