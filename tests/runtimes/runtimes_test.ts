// How the runs in other runtimes are judged: nothing counts as right that was not reported right.
import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Report } from "./guest.ts";
import { judge } from "./verdict.ts";

const GPU: Report = {
  ...{ kind: "gpu", adapter: "some adapter", subgroups: true, enableSubgroups: true, f16: false },
};
const RIGHT: Report = { kind: "case", name: "MQA", error: 1e-7, tolerance: 1e-5 };
const END: Report = { kind: "end" };

Deno.test("judge: everything reported right, to the end, is passed", () => {
  const skipped: Report = { kind: "skipped", name: "f16", why: "there is no f16" };
  const { status, summary, failures } = judge([GPU, RIGHT, RIGHT, skipped, END]);
  assertEquals([status, failures], ["passed", []]);
  assertEquals(
    summary,
    "some adapter (subgroups, declared, no f16); 2 of 2 right, worst error 1.0e-7; 1 skipped as there is no f16",
  );
});

Deno.test("judge: too large an error, no number, a failure and an early end fail", () => {
  const failing: Record<string, Report[]> = {
    "MQA: off by 0.1, more than 0.00001": [GPU, RIGHT, { ...RIGHT, error: 0.1 }, END],
    "MQA: off by NaN": [GPU, { ...RIGHT, error: null }, END],
    "GQA: it threw": [GPU, RIGHT, { kind: "failed", name: "GQA", why: "it threw" }, END],
    "before it was through": [GPU, RIGHT],
    "no case was computed": [GPU, END],
  };
  for (const [says, reports] of Object.entries(failing)) {
    const { status, failures } = judge(reports);
    assertEquals(status, "failed", says);
    assertStringIncludes(failures.join("\n"), says);
  }
  assertEquals(judge([]).status, "failed");
});

Deno.test("judge: no adapter is skipped, and says why", () => {
  const { status, summary } = judge([{ kind: "unavailable", why: "there is no adapter" }]);
  assertEquals([status, summary], ["skipped", "there is no adapter"]);
});
