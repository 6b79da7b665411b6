// How the runs in other runtimes are judged, and what they take from pages: nothing counts as right that was not seen right.
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Report } from "./guest.ts";
import { stepsOf } from "./publish.ts";
import { installsOf, misprints, snippetsOf, startProgram, uninstalled } from "./start_page.ts";
import { judgeSize, sizesOf } from "./sizes.ts";
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

const PAGE = `# Title

### Node

By npm.

\`\`\`sh
npm install a
\`\`\`

\`\`\`js ignore
console.log(1); // 1
const x = 2;
console.log(x, "a"); // 2 a
\`\`\`

### Node and others

\`\`\`js
console.log(3); // 3
\`\`\`
`;

Deno.test("snippetsOf: the blocks below a heading, and what they say that they print", () => {
  assertEquals(snippetsOf(PAGE, "Node"), [
    { language: "sh", code: "npm install a\n", prints: [] },
    {
      language: "js",
      code: 'console.log(1); // 1\nconst x = 2;\nconsole.log(x, "a"); // 2 a\n',
      prints: ["1", "2 a"],
    },
  ]);
  assertEquals(snippetsOf(PAGE, "Bun"), []);
});

Deno.test("installsOf and uninstalled: what is said is there, whatever the version", () => {
  const page =
    "### Bun\n\n`bun add @onehead/attention bun-a b`, or `npm install c`.\n\n### Node\n`npm install d`";
  const installs = installsOf(page, "Bun");
  assertEquals(installs, ["@onehead/attention", "bun-a", "b", "c"]);
  assertEquals(uninstalled({ installs }, ["bun-a@1.0.0", "b@2.0.0", "c@3.0.0"]), []);
  assertStringIncludes(uninstalled({ installs }, ["bun-a@1.0.0", "c@3.0.0"]).join(), "has b ");
});

Deno.test("misprints: what is printed is all that is said, in order", () => {
  const program = snippetsOf(PAGE, "Node")[1];
  assertEquals(misprints(program, ["1", "2 a"]), []);
  for (const printed of [[], ["1"], ["2 a", "1"], ["1", "2 b"], ["1", "2 a", "3"]]) {
    assertStringIncludes(misprints(program, printed).join(), '"1","2 a"');
  }
});

Deno.test("startProgram: docs/start.md has one for each runtime, and a heading that is gone is said", async () => {
  const programs = { Node: "js", Bun: "js", Bundlers: "js", "Pages without a build": "html" };
  for (const [heading, language] of Object.entries(programs)) {
    assertEquals((await startProgram(heading, language)).prints.length, 1, heading);
  }
  await assertRejects(() => startProgram("Abacus", "js"), Error, "Abacus");
});

Deno.test("sizesOf: rows of names and of whole entries", () => {
  const table = `| imports | gzipped |
| --- | --- |
| \`a\`, \`b\` | 1.5 KB |
| all of \`@onehead/attention/decoder\`   | 70 KB   |
| other | 3 KB |
`;
  assertEquals(sizesOf(table), [
    { code: 'export { a,b } from "@onehead/attention";', kilobytes: 1.5 },
    { code: 'export * from "@onehead/attention/decoder";', kilobytes: 70 },
  ]);
});

Deno.test("judgeSize: hardly more than the figure, and not much less", () => {
  const size = { code: "export {};", kilobytes: 10 };
  for (const bytes of [10_500, 8_000]) assertEquals(judgeSize(size, bytes), []);
  assertStringIncludes(judgeSize(size, 10_501).join(), "it grew");
  assertStringIncludes(judgeSize(size, 7_999).join(), "out of date");
});

Deno.test("stepsOf: steps in a line and in a block", () => {
  const workflow = `jobs:
  a:
    steps:
      - uses: b
        with:
          run: no
      - run: one "two"
      - run: |
          if x; then
            y
          fi
  c:
    steps:
      - run: three
`;
  assertEquals(stepsOf(workflow), ['one "two"', "if x; then\n  y\nfi\n", "three"]);
});
