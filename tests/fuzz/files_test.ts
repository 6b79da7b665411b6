// The short form of `deno run fuzz` over files.
import { assert } from "@std/assert";
import { testRandomly } from "../support/random.ts";
import { fuzzFiles } from "./files.ts";

testRandomly(
  "fuzz: a damaged file is read, or refused by a typed error in a short sentence",
  async (random) => {
    const report = await fuzzFiles(random, { count: 500 });
    for (
      const kind of ["safetensors", "index", "config.json", "llama2.c", "tokenizer.json", "encode"]
    ) {
      const { files, refused } = report[kind];
      assert(files > refused && files > 10, `${kind}: ${JSON.stringify(report[kind])}`);
    }
  },
);
