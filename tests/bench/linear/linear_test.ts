// Projections of the bench: its figures by times made by hand, and the command from end to end.
import { assert, assertEquals, assertMatch, assertStringIncludes, assertThrows } from "@std/assert";
import { runLinear } from "../../../bench/linear/command.ts";
import { errorOf, measureLinear, resultOf } from "../../../bench/linear/measure.ts";
import { type LinearBenchOptions, parseLinearOptions } from "../../../bench/linear/options.ts";
import { formatLinear } from "../../../bench/linear/table.ts";
import { inFolder } from "../../support/checkpoint_files.ts";
import { run } from "../../support/commands.ts";
import { hasF16, sharedGpu } from "../../support/gpu.ts";

const CASE = { tokens: 2, inputs: 3, outputs: 5, dtype: "f32" } as const;
const TIMES = { medianMs: 2, minMs: 1, p90Ms: 3, samples: 7 };

Deno.test("bench linear: rates and shares are those of the median", () => {
  const roofline = { copyGBps: 4, fmaGFlops: 0.3 };
  const row = resultOf({ linearCase: CASE, bytes: 2e6, error: 0 }, TIMES, roofline);
  assertEquals([row.gbPerSecond, row.copyShare], [1, 0.25]);
  // 2 x 2 x 3 x 5 operations in 2 ms.
  assertEquals([row.gflops, row.fmaShare], [3e-5, 1e-4]);
});

Deno.test("bench linear: the error is relative to the magnitudes, and what is no number never passes", () => {
  const x = Float32Array.of(1, -1, 2, 0, 1, 0);
  const w = Float32Array.of(1, 2, 3, 0, 0, 1, 1, 1, 1, 2, 0, 0, 0, 5, 0);
  const y = Float32Array.of(5, 2, 2, 2, -5, 2, 0, 1, 0, 5);
  assertEquals(errorOf(CASE, x, w, y), 0);
  // The last output is always among those that are computed again: 5 of a magnitude of 5.
  assertEquals(errorOf(CASE, x, w, y.with(9, 6)), 0.2);
  assertEquals(errorOf(CASE, x, w, y.with(0, NaN)), NaN);
  assertEquals(errorOf(CASE, x, w, y.subarray(1)), NaN);
});

Deno.test("bench linear: every element type is right before it is timed", async () => {
  const gpu = await sharedGpu();
  const dtypes = ["f32", "int8", "int4", ...await hasF16() ? ["f16" as const] : []] as const;
  const cases = dtypes.flatMap((dtype) =>
    [1, 5].map((tokens) => ({ tokens, inputs: 40, outputs: 36, dtype }))
  );
  const rows = await measureLinear(gpu, cases, {
    effort: { minRounds: 2, maxRounds: 2, budgetMs: 0 },
    roofline: { copyGBps: 1, readGBps: 1, fmaGFlops: 1 },
  });
  assertEquals(rows.map(({ dtype, tokens }) => [dtype, tokens]).length, cases.length);
  for (const { failure, medianMs, maxRelativeError } of rows) {
    assertEquals(failure, undefined);
    assert(medianMs > 0 && maxRelativeError! < 1e-6);
  }
  const text = formatLinear([...rows, { ...rows[0], failure: "off by 1" }]);
  assertMatch(text.split("\n")[1], /^ +1 +36 x 40 +f32 /);
  assertStringIncludes(text.split("\n").at(-1)!, "FAILED: off by 1");
});

Deno.test("bench linear: options, and a run that writes JSON", async () => {
  const { tokens, dtypes, inputs } = parseLinearOptions([]) as LinearBenchOptions;
  assertEquals([tokens, dtypes, inputs], [[1, 64, 512], ["f32", "f16", "int8", "int4"], 4096]);
  assertThrows(() => parseLinearOptions(["--tokens", "0"]), RangeError, "--tokens");
  assertThrows(() => parseLinearOptions(["--dtype", "f64"]), RangeError, "takes f32, f16, int8");
  assertStringIncludes(parseLinearOptions(["--help"]) as string, "bench linear");
  await inFolder({}, async (folder) => {
    const size = ["--tokens", "1", "--inputs", "8", "--outputs", "8", "--dtype", "f32"];
    const { code, out } = await run(runLinear, ...size, "--quick", "--json", `${folder}/a.json`);
    assertEquals(code, 0);
    assertStringIncludes(out, "Roofline  copy ");
    const { rows, schema } = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    assertEquals([schema, rows.length, rows[0].dtype], [1, 1, "f32"]);
    const unwritable = await run(runLinear, "--json", `${folder}/missing/a.json`);
    assertEquals(unwritable.code, 2);
  });
});
