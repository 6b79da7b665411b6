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

Deno.test("plan: a fleet has its table, its part of the JSON, a picture, and its sections of the page", async () => {
  await withFolder(async (folder) => {
    const fleet = ["--fleet", "--rate", "5", "--prompt", "8-64", "--answer", "4", "--price", "2"];
    const few = ["--requests", "20", "--first", "0.2", "--kv-heads", "32,1"];
    const files = ["--json", `${folder}/a.json`, "--svg", folder, "--html", `${folder}/a.html`];
    const { code, out, err } = await run(...SMALL, ...fleet, ...few, ...files);
    assertEquals([code, err], [0, ""]);
    assertStringIncludes(out, "A fleet for 5 requests a second");
    assertStringIncludes(out, "432,000 requests a day");
    const { fleet: { variants } } = JSON.parse(await Deno.readTextFile(`${folder}/a.json`));
    assertEquals(
      variants.map(({ label, gpus }: { label: string; gpus: number }) => [label, gpus]),
      [
        ["MHA", 1],
        ["MQA", 1],
      ],
    );
    assertStringIncludes(await Deno.readTextFile(`${folder}/fleet.svg`), "GPUs for requests");
    const page = await Deno.readTextFile(`${folder}/a.html`);
    for (const id of ["fleet", "replicas", "shards"]) {
      assertStringIncludes(page, `<section id="${id}">`);
    }
  });
});

Deno.test("plan: where results cannot be written, nothing is planned", async () => {
  await withFolder(async (folder) => {
    await Deno.writeTextFile(`${folder}/file`, "old");
    const rows = [
      ["--json", `${folder}/missing/a.json`],
      ["--html", folder],
      ["--svg", `${folder}/file/svg`],
    ];
    for (const [option, path] of rows) {
      // A model that is not there would be the next thing to be told.
      const { code, out, err } = await run("--model", "none", option, path);
      assertEquals([code, out], [2, ""]);
      assertStringIncludes(err, `Cannot plan as ${path} cannot be`);
    }
    assertEquals(await Deno.readTextFile(`${folder}/file`), "old");
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

    const wrong = { ...config, hidden_size: "64" };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(wrong));
    const failed = await run(...given);
    assertEquals(failed.code, 2);
    assertStringIncludes(failed.err, '"hidden_size"');
  });
});

Deno.test("plan: a model type that is not known is refused, or assumed, which every table says", async () => {
  await withFolder(async (folder) => {
    const config = {
      model_type: "brand_new",
      ...{ hidden_size: 64, intermediate_size: 128, num_attention_heads: 4, vocab_size: 100 },
      ...{ num_hidden_layers: 2, sliding_window: 16 },
    };
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
    const given = ["--config", `${folder}/config.json`, ...SMALL];
    const refused = await run(...given);
    assertEquals([refused.code, refused.out], [2, ""]);
    assertStringIncludes(refused.err, 'model_type="brand_new"');
    assertStringIncludes(refused.err, '"--assume dense" counts any other');
    const files = ["--html", `${folder}/a.html`, "--svg", `${folder}/svg`];
    const { code, out } = await run(...given, "--assume", "dense", ...files);
    assertEquals(code, 0);
    // Five tables, and the model's name at the top.
    assertEquals(out.match(/Assumed: a dense model/g)?.length, 5);
    assertStringIncludes(out, "config.json (assumed dense): 2 layers");
    const page = await Deno.readTextFile(`${folder}/a.html`);
    assertEquals(page.match(/Assumed: a dense model/g)?.length, 5);
    for (const { name } of Deno.readDirSync(`${folder}/svg`)) {
      assertStringIncludes(await Deno.readTextFile(`${folder}/svg/${name}`), "(assumed dense)");
    }
  });
});

Deno.test("plan: latent attention beside what its heads would keep without it", async () => {
  const asked = ["--model", "deepseek-v3", "--memory", "3000GB", "--context", "8k", "--batch", "1"];
  const { code, out } = await run(...asked, "--json");
  assertEquals(code, 0);
  const { variants } = JSON.parse(out);
  const cacheOf = (label: string) =>
    variants.find((variant: { label: string }) => variant.label === label);
  const [mla, mha, mqa] = ["MLA", "MHA", "MQA"].map(cacheOf);
  assertEquals(mla.caches[0].bytesPerToken, 70_272);
  assertEquals(mla.caches[0].cells[0].kvBytes, 575_668_224);
  assertEquals([mla.isOwn, mha.isOwn, mqa.isOwn], [true, false, false]);
  assertEquals(mha.caches[0].bytesPerToken, 61 * 128 * (192 + 128) * 2);
  assertEquals(mqa.caches[0].bytesPerToken, 61 * (192 + 128) * 2);
  // DeepseekV3Attention has these matrices: q_a_proj, q_b_proj, kv_a_proj_with_mqa, kv_b_proj, o_proj.
  const matrices = [7168 * 1536, 1536 * 128 * 192, 7168 * 576, 512 * 128 * 256, 128 * 128 * 7168];
  assertEquals(mla.parameters.total, matrices.reduce((sum, count) => sum + count));
  await withFolder(async (folder) => {
    const { out } = await run(...asked, "--svg", folder);
    assertStringIncludes(out, "MLA *");
    assertStringIncludes(out, "MLA keeps 512 + 64 numbers of a token, which all heads share");
    assertStringIncludes(out, "passes 8 of 256 experts, and with them 37.6e9 of 671e9");
    assertStringIncludes(await Deno.readTextFile(`${folder}/growth.svg`), "#cc79a7");
  });
});

Deno.test("plan: layers without keys and values are told", async () => {
  const { code, out } = await run("--model", "lfm2-1.2b", ...SMALL);
  assertEquals(code, 0);
  assertStringIncludes(out, "16 layers (6 with attention)");
  assertStringIncludes(out, "10 of 16 layers are recurrent");
});

Deno.test("plan: --check reads a bench's report", async () => {
  const { code, out } = await run("--check", "bench/results/llvmpipe.json");
  assertEquals(code, 0);
  assertStringIncludes(out, "predicted / measured");
});

const MISTAKES: [line: string, says: string][] = [
  ["--model falcon-7", "did you mean Falcon-7B?"],
  ["--gpu h100", "did you mean h100-80gb?"],
  ["--config none.json", "none.json as there is no such file"],
  ["--check none.json", "none.json as there is no such file"],
  ["--assume dense", "--assume goes with --config"],
  ["--model mixtral-8x7b", "missingBytes="],
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
