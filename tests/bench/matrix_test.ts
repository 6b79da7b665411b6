import type { Asked } from "../../bench/asked.ts";
import { featuresOf } from "../../bench/matrix/features.ts";
import { type Cell, tryFeatures } from "../../bench/matrix/matrix.ts";
import { withSubgroups } from "../../bench/matrix/subgroups.ts";
import { expectedGradients } from "../../bench/gradient/verify.ts";
import { AbsentError, type Peer } from "../../bench/peers/peer.ts";
import { formatMatrix } from "../../bench/report/matrix.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { SILENT } from "../../cli/shared/progress.ts";

const CASE: Asked = {
  ...{ dtype: "f32", batch: 1, numHeads: 1, numKvHeads: 1, headDim: 2 },
  ...{ seqLen: 1, contextLen: 1 },
};

/** A system that returns the only value, off by what a case's window says: a wrong one, a refusal, an absence. */
const SYSTEM: Peer = {
  name: "system 1.0",
  prepareGradient({ numHeads }, inputs) {
    if (numHeads === 2) {
      return Promise.reject(new AbsentError("two heads", "https://heads.example"));
    }
    const gradients = expectedGradients(
      { tokens: 2, numHeads, numKvHeads: 1, headDim: 2 },
      inputs,
    )!;
    if (numHeads === 3) Array.prototype.fill.call(gradients.dv, 0);
    return Promise.resolve({
      run: () => Promise.resolve(),
      gradients: () => Promise.resolve(gradients),
      destroy() {},
    });
  },
  prepare({ window }, { v }) {
    if (window === 2) return Promise.reject(new Error("window too small"));
    if (window === 3) return Promise.reject(new AbsentError("window"));
    // Off by half, and says that it rounds.
    const tolerance = window === 5 ? 0.6 : undefined;
    const off = window === 1 || window === 5 ? 0.5 : 0;
    return Promise.resolve({
      run: () => Promise.resolve(),
      output: () => Promise.resolve(v.map((value) => value + off)),
      destroy() {},
      tolerance,
    });
  },
};

async function tryWindows(windows: (number | undefined)[]): Promise<Cell> {
  const cases = windows.map((window) => ({ ...CASE, window }));
  const [cell] = await tryFeatures([{ name: "window", cases }], [SYSTEM], SILENT);
  return cell;
}

function windowOf({ asked }: Cell): number | undefined {
  return asked && "window" in asked ? asked.window : undefined;
}

Deno.test("a feature is right where all of its cases are, and wrong before it is refused", async () => {
  const right = await tryWindows([undefined, 4]);
  assertEquals([right.verdict, right.asked], ["right", undefined]);
  assert(right.error! < 1e-6);
  const wrong = await tryWindows([4, 2, 1]);
  assertEquals([wrong.verdict, wrong.error, windowOf(wrong)], ["wrong", 0.5, 1]);
  const refused = await tryWindows([4, 2, 3, 4]);
  assertEquals([refused.verdict, refused.message], ["refused", "window too small"]);
  assertEquals([refused.error, windowOf(refused)], [null, 2]);
  assertEquals((await tryWindows([3, 4])).verdict, "absent");
  const rounding = await tryWindows([5]);
  assertEquals([rounding.verdict, rounding.error], ["right", 0.5]);
});

Deno.test("gradients are held against the reference, and what has none says where that stands", async () => {
  const tryHeads = async (...heads: number[]) => {
    const gradients = heads.map((numHeads) => ({
      ...{ tokens: 2, numHeads, numKvHeads: 1, headDim: 2 },
    }));
    const [cell] = await tryFeatures(
      [{ name: "gradients", cases: [], gradients }],
      [SYSTEM],
      SILENT,
    );
    return cell;
  };
  assertEquals((await tryHeads(1, 4)).verdict, "right");
  assertEquals([(await tryHeads(1, 3)).verdict, (await tryHeads(1, 3)).error], ["wrong", 1]);
  const { verdict, source } = await tryHeads(1, 2);
  assertEquals([verdict, source], ["absent", "https://heads.example"]);
});

Deno.test("every feature is tried on every system", async () => {
  const features = [{ name: "a", cases: [CASE] }, { name: "b", cases: [CASE] }];
  const steps: string[] = [];
  const systems = [SYSTEM, { ...SYSTEM, name: "other 2.0" }];
  const cells = await tryFeatures(features, systems, { step: (what) => void steps.push(what) });
  assertEquals(steps, ["a: system 1.0", "a: other 2.0", "b: system 1.0", "b: other 2.0"]);
  assertEquals(cells.map(({ feature, system }) => `${feature}: ${system}`), steps);
});

Deno.test("the features are those of the matrix, each with a case of its own", () => {
  const names = featuresOf(8).map(({ name }) => name);
  assertEquals(names, [
    ...["MQA", "GQA", "causal with cache", "window", "softcap", "sinks (learned logits)", "bias"],
    ...["f16", "int8 cache", "int4 cache", "pages of a pool", "ragged batch", "latent attention"],
    ...["scores of one's own", "gradients", "K and V of 256 MiB each", "ring wrap"],
    "subgroups of 8",
  ]);
  assertEquals(featuresOf(0).length, names.length - 1);
  for (const { name, cases, gradients = [] } of featuresOf(8)) {
    assert(cases.length + gradients.length > 0, name);
    for (const { numHeads, numKvHeads, seqLen, contextLen, sinkLogits } of cases) {
      assert(numHeads % numKvHeads === 0 && seqLen <= contextLen, name);
      assert(sinkLogits === undefined || sinkLogits.length === numHeads, name);
    }
  }
});

Deno.test("formatMatrix() has a line for each feature and a column for each system", () => {
  const cell = (feature: string, system: string, verdict: Cell["verdict"], error?: number) => ({
    ...{ feature, system, verdict },
    error: error ?? null,
  });
  const text = formatMatrix("llvmpipe", [
    cell("window", "Onehead", "right", 4.4e-8),
    cell("window", "tfjs", "absent"),
    cell("softcap", "Onehead", "refused"),
    cell("softcap", "tfjs", "wrong", 0.02),
    cell("bias", "Onehead", "not loaded"),
    cell("bias", "tfjs", "wrong"),
    cell("pages", "Onehead", "right", 1e-8),
    { ...cell("pages", "tfjs", "absent"), source: "https://a.b/c" },
  ]);
  assertEquals(text.split("\n"), [
    "| llvmpipe | Onehead      | tfjs                               |",
    "| -------- | ------------ | ---------------------------------- |",
    "| window   | right (4e-8) | absent                             |",
    "| softcap  | refused      | **wrong, without an error** (2e-2) |",
    "| bias     | not loaded   | **wrong, without an error** (NaN)  |",
    "| pages    | right (1e-8) | [absent][1]                        |",
    "",
    "[1]: https://a.b/c",
    "",
  ]);
});

Deno.test("withSubgroups() gives devices subgroups for a while, and takes the directive of browsers", async () => {
  const { requestDevice } = GPUAdapter.prototype;
  const adapter = await navigator.gpu.requestAdapter();
  const code = "enable subgroups;\n@compute @workgroup_size(1) fn main() {}";
  const device = await withSubgroups(() => adapter!.requestDevice()).catch(() => undefined);
  assertEquals(GPUAdapter.prototype.requestDevice, requestDevice);
  if (device) {
    assert(device.features.has("subgroups"));
    device.pushErrorScope("validation");
    device.createShaderModule({ code });
    assertEquals(await device.popErrorScope(), null);
    device.destroy();
  }
  await assertRejects(() => withSubgroups(() => Promise.reject(new Error("no"))), Error, "no");
  assertEquals(GPUAdapter.prototype.requestDevice, requestDevice);
});
