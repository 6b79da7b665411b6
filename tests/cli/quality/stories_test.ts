// What four bits cost the trained model of the shared data.
import { assert, assertEquals } from "@std/assert";
import { runCommand } from "../../../cli/quality/command.ts";
import type { Report } from "../../../cli/quality/result.ts";
import { run } from "../../support/commands.ts";
import { STORIES, testStories } from "../../support/stories.ts";

testStories("quality: calibrated and rotated caches keep a trained model", async () => {
  const line = ["--model", STORIES.model, "--tokenizer", STORIES.tokenizer, "--json"];
  const cache = ["--cache-dtype", "int8,int4", "--cache-transform", "rotated,calibrated"];
  const no = ["--window", "511", "--sinks", "0", "--kv-heads", "4"];
  const { code, out } = await run(runCommand, ...line, ...cache, ...no);
  assertEquals(code, 0);
  const { rows }: Report = JSON.parse(out);
  const of = (dtype: string, kind?: string) => {
    const row = rows.find(({ kvDtype, transform }) => kvDtype === dtype && transform === kind)!;
    return { ...row, ratio: row.perplexity / rows[0].perplexity };
  };
  const [rotated, calibrated] = [of("int4", "rotated"), of("int4", "calibrated")];
  const what = JSON.stringify(
    rows.map((
      { kvDtype, transform, perplexity, agreement },
    ) => [kvDtype, transform, perplexity, agreement]),
  );
  assert(calibrated.ratio <= 1.06 && calibrated.agreement >= 0.88, what);
  assert(rotated.ratio <= 1.75, what);
  assert(of("int8", "calibrated").ratio <= 1.002, what);
  // Both have the same rows; tables of 5 layers of 4 heads have 8 channels of keys and of values, of 8 bytes.
  assertEquals(calibrated.cacheBytes - rotated.cacheBytes, 5 * 4 * 8 * 2 * 8);
});
