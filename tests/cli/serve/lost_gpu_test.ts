// A server whose GPU is lost: once another one is opened, then, where there is none, the process ends by an error.
import { assertEquals, assertStringIncludes } from "@std/assert";
import { runCommand } from "../../../cli/serve/command.ts";
import { SILENT } from "../../../cli/shared/progress.ts";
import { withAdapters } from "../../support/adapters.ts";
import { withModel } from "../../support/commands.ts";
import { testRandomly } from "../../support/random.ts";

testRandomly(
  "serve: a lost GPU is replaced; without another one the process fails",
  async (random) => {
    await withModel(random, async ({ model, tokenizer }) => {
      await withAdapters(async (adapters) => {
        const listening = Promise.withResolvers<string>();
        const losses = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        const errors: string[] = [];
        const text = await Deno.makeTempFile();
        await Deno.writeTextFile(text, "a b ab a");
        const files = ["--model", model, "--tokenizer", tokenizer, "--calibrate", text];
        const ended = runCommand([...files, "--cache-dtype", "int8", "--port", "0"], {
          log: (text) => listening.resolve(text.match(/http:\S+/)![0]),
          error: (text) => {
            losses[errors.push(text) - 1]?.resolve();
          },
          write: () => {},
          progress: () => SILENT,
        });
        const url = await listening.promise;
        const statusOf = async () => {
          const body = JSON.stringify({ model: "model.bin", prompt: "a b", max_tokens: 2 });
          const response = await fetch(`${url}/completions`, { method: "POST", body });
          await response.body!.cancel();
          return response.status;
        };
        assertEquals(await statusOf(), 200);
        // The other engine is calibrated as the first.
        await Deno.remove(text);
        adapters.lose();
        await losses[0].promise;
        // Until the other one is there, the answer is to try again.
        let status = 503;
        while (status === 503) status = await statusOf();
        assertEquals(status, 200);

        adapters.areThere = false;
        adapters.lose();
        await losses[1].promise;
        assertEquals(await ended, 1);
        const lost = "The GPU was lost: opening another one.";
        assertEquals(errors.slice(0, 2), [lost, lost]);
        assertStringIncludes(
          errors[2],
          "GpuUnavailableError: Cannot open a GPU as there is no adapter",
        );
      });
    });
  },
);
