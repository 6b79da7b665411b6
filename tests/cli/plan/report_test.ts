// What people see of a plan: tables, pictures and the page.
import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { renderSvg } from "../../../cli/shared/report/svg.ts";
import { GPUS } from "../../../cli/plan/gpus.ts";
import { MODELS } from "../../../cli/shared/presets.ts";
import { findByName } from "../../../cli/shared/names.ts";
import { makePlan } from "../../../cli/plan/make_plan.ts";
import type { Plan, PlanRequest } from "../../../cli/plan/plan.ts";
import { formatHtml } from "../../../cli/plan/report/html.ts";
import { sectionsOf } from "../../../cli/plan/report/sections.ts";
import { formatText } from "../../../cli/plan/report/text.ts";
import { shortCount, tinyBytes } from "../../../cli/plan/report/units.ts";
import { shortBytes } from "../../../cli/shared/report/units.ts";

function planOf(changes: Partial<PlanRequest> = {}): Plan {
  return makePlan({
    model: findByName("model", MODELS, "llama-2-7b"),
    device: findByName("GPU", GPUS, "a100-80gb"),
    contextLens: [4096, 65536],
    batches: [1, 2, 8],
    kvHeads: [32, 8, 1],
    dtypes: ["f16"],
    weightBits: 16,
    ...changes,
  });
}

const pictureOf = async (plan: Plan, id: string) =>
  await renderSvg(sectionsOf(plan).find((section) => section.id === id)!.figure!);
const texts = (svg: string) =>
  Array.from(svg.matchAll(/<(?:text|tspan)[^>]*>([^<]+)</g), ([, text]) => text);
const count = (items: string[], item: string) => items.filter((other) => other === item).length;
/** Positions of marks of a kind, as their group's transform says. */
const marks = (svg: string, kind: string) =>
  Array.from(
    svg.matchAll(new RegExp(`aria-roledescription="${kind}"[^>]*translate\\(([^)]*)\\)`, "g")),
    ([, position]) => position.split(",").map(Number),
  );

Deno.test("plan table: every section, with brackets around what does not fit", () => {
  const text = formatText(planOf());
  for (const { title } of sectionsOf(planOf())) assertStringIncludes(text, title);
  const row = text.split("\n").find((line) => /^MHA \* +f16 +64K +32 GiB/.test(line));
  assertEquals(row?.split(/ {2,}/).slice(2), ["64K", "32 GiB", "(64 GiB)", "(256 GiB)", "1"]);
  assertStringIncludes(text, "weights take 13.48 and leave 66.52 GB");
});

Deno.test("plan table: without the device's memory nothing is said to fit", () => {
  const device = { ...findByName("GPU", GPUS, "a100-80gb"), memoryBytes: undefined };
  const plan = planOf({ device });
  assertEquals(sectionsOf(plan).map(({ id }) => id), [
    "growth",
    "parameters",
    "throughput",
    "decode",
  ]);
  assert(!formatText(plan).includes("What fits"));
});

Deno.test("growth picture: equal ratios are equal distances, MHA on top", async () => {
  const svg = await pictureOf(planOf({ contextLens: [1024, 2048, 4096] }), "growth");
  for (const label of ["MHA", "GQA-8", "MQA"]) assertEquals(count(texts(svg), label), 1, label);
  const points = marks(svg, "point");
  assertEquals(points.length, 9);
  const [mha, gqa, mqa] = [points.slice(0, 3), points.slice(3, 6), points.slice(6)];
  const step = mha[1][0] - mha[0][0];
  assert(step > 0 && mha[1][1] < mha[0][1]);
  assertAlmostEquals(mha[2][0] - mha[1][0], step, 0.5);
  // Four doublings from MHA to GQA-8 and MQA: 2 and 5 of them.
  const octave = mha[0][1] - mha[1][1];
  assertAlmostEquals(gqa[0][1] - mha[0][1], 2 * octave, 0.5);
  assertAlmostEquals(mqa[0][1] - mha[0][1], 5 * octave, 0.5);
  assert(texts(svg).some((text) => text.startsWith("left by the weights")));
});

Deno.test("feasibility picture: a cell for each context and batch, framed where it does not fit", async () => {
  const plan = planOf();
  const svg = await pictureOf(plan, "feasible");
  const cells = plan.variants.flatMap(({ caches }) => caches.flatMap((cache) => cache.cells));
  const labels = texts(svg);
  for (const size of new Set(cells.map(({ kvBytes }) => tinyBytes(kvBytes)))) {
    const wanted = cells.filter(({ kvBytes }) => tinyBytes(kvBytes) === size).length;
    assertEquals(count(labels, size), wanted, size);
  }
  const framed = cells.filter(({ fits }) => !fits).length;
  assertEquals(svg.match(/stroke-opacity="0.35"/g)?.length, framed);
});

Deno.test("throughput picture: the corner stands where the group size says", async () => {
  const svg = await pictureOf(planOf(), "throughput");
  assert(texts(svg).includes("corner: 9.56"));
  const flat = await pictureOf(
    planOf({
      kvHeads: [32],
      device: {
        ...findByName("GPU", GPUS, "a100-80gb"),
        f32FlopsPerSecond: 1e18,
      },
    }),
    "throughput",
  );
  assert(!texts(flat).some((text) => text.startsWith("corner")));
});

Deno.test("parameters picture: four projections for each variant", async () => {
  const labels = texts(await pictureOf(planOf(), "parameters"));
  for (const label of ["q", "k", "v", "o", "MHA", "GQA-8", "MQA"]) assert(labels.includes(label));
});

Deno.test("page: stands alone, a table in every section, names of its own in every picture", async () => {
  const html = await formatHtml(planOf({ dtypes: ["f16", "int4"] }));
  const sections = sectionsOf(planOf());
  assertEquals(html.match(/<section /g)?.length, sections.length);
  assertEquals(html.match(/<table>/g)?.length, sections.length);
  assertEquals(html.match(/<svg /g)?.length, sections.filter(({ figure }) => figure).length);
  assertEquals(html.match(/(?:src|href)="(?!#)[^"]*"/g), null);
  assertEquals(html.match(/url\((?!#)/g), null);
  const ids = Array.from(html.matchAll(/\bid="([^"]*)"/g), ([, id]) => id);
  assertEquals(new Set(ids).size, ids.length);
  for (const [, id] of html.matchAll(/url\(#([^)]*)\)/g)) assert(ids.includes(id), id);
  for (const needed of ["light-dark(", "@media print", '<html lang="en">', "color-scheme"]) {
    assertStringIncludes(html, needed);
  }
});

Deno.test("page: what names hold is text", async () => {
  const model = { ...findByName("model", MODELS, "gpt-2"), name: `<b>&"x"` };
  const html = await formatHtml(planOf({ model, kvHeads: [12] }));
  assert(!html.includes("<b>"));
  assertStringIncludes(html, "&lt;b&gt;&amp;&quot;x&quot;");
});

Deno.test("units: bytes and counts in few letters", () => {
  assertEquals([512, 1536, 8 * 2 ** 30].map(shortBytes), ["512 B", "1.5 KiB", "8 GiB"]);
  assertEquals([1024, 131072, 1000].map(shortCount), ["1K", "128K", "1000"]);
  const sizes = [100, 1024, 1.24 * 2 ** 30, 9.96 * 2 ** 20, 1023 * 2 ** 20, 2 ** 41, 2 ** 51];
  assertEquals(sizes.map(tinyBytes), ["100", "1K", "1.2G", "10M", "1023M", "2T", "2048T"]);
});
