// ONNX's own node tests, through the public API.
import { assertEquals } from "@std/assert";
import { assertClose, assertSame, maskedScores, TOLERANCE } from "../support/compare.ts";
import { hasF16 } from "../support/gpu.ts";
import {
  onnxCases,
  runOnnxAttention,
  runOnnxRotaryEmbedding,
  runOnnxTensorScatter,
} from "../support/onnx.ts";

/** Outputs of f16 are rounded at other places than ours. */
const HALF_TOLERANCE = 2e-3;

const cases = onnxCases();
const casesOf = (name: string) => cases.filter(({ op }) => op === name);

for (const test of casesOf("Attention")) {
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

for (const test of casesOf("TensorScatter")) {
  Deno.test(`onnx: ${test.name}`, async () => {
    const { present_cache } = await runOnnxTensorScatter(test);
    assertSame(present_cache, test.outputs.present_cache.data, "present_cache");
  });
}

for (const test of casesOf("RotaryEmbedding")) {
  Deno.test(`onnx: ${test.name}`, async () => {
    for (const role of ["queries", "keys"] as const) {
      const { Y } = await runOnnxRotaryEmbedding(test, role);
      assertClose(Y, test.outputs.Y.data, 2e-6, `Y, as ${role}`);
    }
  });
}
