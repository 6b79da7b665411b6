// The command from end to end: what it writes, and its exit codes.
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/plan/command.ts";

async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []];
  const log = (lines: string[]) => (...data: unknown[]) => void lines.push(data.join(" "));
  const code = await runCommand(args, { log: log(out), error: log(err) });
  return { code, out: out.join("\n"), err: err.join("\n") };
}

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const SMALL = ["--context", "4k,32k", "--batch", "1,8"];

Deno.test("plan: writes a table, JSON, pictures and a page", async () => {
  await withFolder(async (folder) => {
    const files = [
      "--json",
      `${folder}/a.json`,
      "--svg",
      `${folder}/svg`,
      "--html",
      `${folder}/a.html`,
    ];
    const { code, out, err } = await run(...SMALL, ...files);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "What fits");
    const plan = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    assertEquals(plan.variants.length, 3);
    assertEquals(plan.variants[0].caches[0].cells[0].kvBytes, 2 * 2 ** 30);
    const pictures = Array.from(Deno.readDirSync(`${folder}/svg`), ({ name }) => name).sort();
    assertEquals(pictures, ["feasible.svg", "growth.svg", "parameters.svg", "throughput.svg"]);
    assertStringIncludes(await Deno.readTextFile(`${folder}/a.html`), "</html>");
  });
});

Deno.test("plan: --json alone prints nothing but JSON", async () => {
  const { code, out } = await run(...SMALL, "--json");
  assertEquals(code, 0);
  assertEquals(JSON.parse(out).model.name, "LLaMA-2-7B");
});

Deno.test("plan: lists of everything, and a word on what is left out", async () => {
  const line = "--model falcon-7b --gpu a100-80gb --context 4k,32k,128k --batch 1,8,32";
  const { code, out } = await run(
    ...line.split(" "),
    "--kv-heads",
    "1,8,all",
    "--dtype",
    "f16,int8,int4",
  );
  assertEquals(code, 0);
  assertStringIncludes(out, "8 KV heads are left out: they do not divide 71.");
});

Deno.test("plan: a model's config.json, and a bench's roofline as the GPU", async () => {
  await withFolder(async (folder) => {
    const config = {
      model_type: "llama",
      ...{ hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, vocab_size: 100 },
      num_hidden_layers: 2,
    };
    const roofline = { copyGBps: 2, readGBps: 3, fmaGFlops: 30 };
    const adapter = { description: "slow adapter", features: [], isSoftware: true };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
    const report = JSON.stringify({ schema: 1, adapter, roofline, results: [] });
    await Deno.writeTextFile(`${folder}/bench.json`, report);
    const given = ["--config", `${folder}/config.json`, "--gpu", `${folder}/bench.json`];
    const { code, out } = await run(...given, ...SMALL);
    assertEquals(code, 0);
    assertStringIncludes(out, "slow adapter");
    assert(!out.includes("What fits"));
    const sized = await run(...given, ...SMALL, "--memory", "1GB");
    assertStringIncludes(sized.out, "What fits");

    const { hidden_size: _, ...lacking } = config;
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(lacking));
    const failed = await run(...given);
    assertEquals(failed.code, 2);
    assertStringIncludes(failed.err, '"hidden_size"');
  });
});

Deno.test("plan: --check reads a bench's report", async () => {
  const { code, out } = await run("--check", "bench/results/llvmpipe.json");
  assertEquals(code, 0);
  assertStringIncludes(out, "predicted / measured");
});

const MISTAKES: [line: string, says: string][] = [
  ["--model falcon-7", "did you mean Falcon-7B?"],
  ["--gpu h100", "did you mean h100-80gb?"],
  ["--config none.json", "none.json cannot be read"],
  ["--check none.json", "none.json cannot be read"],
  ["--batch 0.5", "at least 1"],
  ["--context=-1", "at least 1"],
  ["--memory 12GB", "missingBytes=1476831232"],
  ["--kv-heads 5", "heads=32, KV heads=5"],
  ["--colour", "--colour is unknown"],
];

for (const [line, says] of MISTAKES) {
  Deno.test(`plan: exits with 2 on "${line}"`, async () => {
    const { code, out, err } = await run(...line.split(" "));
    assertEquals([code, out], [2, ""]);
    assertStringIncludes(err, says);
  });
}
