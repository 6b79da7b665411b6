/** wllama: llama.cpp in WebAssembly, on the processor. */
import { importPackage } from "../peers/import_package.ts";
import { workAsInBrowsers } from "./browser_workers.ts";
import { encodeGguf } from "./gguf.ts";
import { ggufDecoder, textOf, tokensOf } from "./gguf_decoder.ts";
import type { ModelSystem } from "./system.ts";

const VERSION = "3.13.0";
const PACKAGE = `npm:@wllama/wllama@${VERSION}`;

/** Models come from memory, not from the stores of browsers. */
const CONFIG = { cacheManager: {}, modelManager: {}, suppressNativeLog: true };

export const wllama: ModelSystem = {
  name: `wllama ${VERSION}`,
  npm: { name: "@wllama/wllama", version: VERSION },
  async load() {
    workAsInBrowsers();
    const { Wllama, LogLevel } = await importPackage(PACKAGE);
    const file = new URL(import.meta.resolve(`${PACKAGE}/esm/wasm/wllama.wasm`));
    const type = "application/wasm";
    const wasm = URL.createObjectURL(new Blob([await Deno.readFile(file)], { type }));
    return async (source, { sequences, maxTokens }) => {
      const instance = new Wllama({ default: wasm }, CONFIG);
      await instance.loadModel([new Blob(encodeGguf(await ggufDecoder(source)))], {
        ...{ n_gpu_layers: 0, n_threads: navigator.hardwareConcurrency, log_level: LogLevel.ERROR },
        ...{ n_parallel: sequences, n_ctx: sequences * maxTokens, kv_unified: true },
        ...{ cache_type_k: "f32", cache_type_v: "f32", flash_attn: false, warmup: false },
      });
      return {
        cacheBytes: null,
        generate: (prompts, tokens) =>
          Promise.all(prompts.map(async (prompt) => {
            const { choices: [{ text }] } = await instance.createCompletion({
              ...{
                prompt: textOf(prompt),
                max_tokens: tokens,
                temperature: 0,
                cache_prompt: false,
              },
            });
            return tokensOf(text);
          })),
      };
    };
  },
};
