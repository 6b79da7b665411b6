/** The command: a model behind HTTP until a signal ends it. */
import { findTextFile } from "../../src/checkpoints/text_file.ts";
import { Files } from "../shared/files.ts";
import { Engines } from "../shared/generation/engines.ts";
import { openEngine } from "../shared/generation/open_engine.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { ApiKey } from "./api_key.ts";
import { ChatTemplate } from "./chat_template.ts";
import { Handler } from "./handler.ts";
import { parseOptions, type ServeOptions } from "./options.ts";

const ACTION = "serve";
const KEY_VARIABLE = "ONEHEAD_API_KEY";
/** Signals that end the server when what runs is finished; a second one ends it at once. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Runs the command and returns its exit code. */
export function runCommand(args: readonly string[], out: Out): Promise<number> {
  return exitCodeOf(async () => {
    const options = parseOptions(args);
    if (typeof options === "string") return out.log(options);
    const key = await keyOf(options);
    await withModel(options, out, async (model) => await serve(model, options, key, out));
  }, out);
}

async function serve(
  model: Model,
  options: ServeOptions,
  key: ApiKey | undefined,
  out: Out,
): Promise<void> {
  const { tokenizer } = model;
  const engines = await Engines.create(() => openEngine(model, options), (error) => {
    out.error(error === undefined ? "The GPU was lost: opening another one." : `No GPU: ${error}`);
  });
  const name = options.name ?? options.model.replace(/[/\\]$/, "").replace(/^.*[/\\]/, "");
  const served = {
    ...{ name, tokenizer, created: Math.floor(Date.now() / 1000) },
    template: await templateOf(options),
  };
  const { maxBody: maxBytes, maxPrompt, maxQueue } = options;
  const handler = new Handler(served, engines.current, {
    ...{ maxBytes, maxPrompt, maxQueue, timeout: 30_000, requestTimeout: options.timeout * 1000 },
  }, key);
  const listen = { port: options.port, hostname: options.host };
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({ ...listen, onListen: () => {} }, handler.handle);
  } catch (error) {
    engines.destroy();
    throw new RangeError(
      `Cannot serve as ${options.host}:${options.port} cannot be listened on (choose another --port): ` +
        (error as Error).message,
    );
  }
  const { hostname, port } = server.addr;
  out.log(`Serving ${name} at http://${hostname}:${port}/v1 (Ctrl-C ends it)`);

  let isEnding = false;
  const end = async () => {
    if (isEnding) Deno.exit(1);
    isEnding = true;
    out.error("Finishing what runs; a second signal ends it at once.");
    await handler.close();
    await server.shutdown();
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, end);
  try {
    await server.finished;
  } finally {
    for (const signal of SIGNALS) Deno.removeSignalListener(signal, end);
    engines.destroy();
  }
}

/** The key that clients must have, from a file or from the environment; never from the command line, which others see. */
async function keyOf({ apiKeyFile }: ServeOptions): Promise<ApiKey | undefined> {
  const key = apiKeyFile === undefined
    ? Deno.env.get(KEY_VARIABLE)
    : (await new Files(ACTION).readText(apiKeyFile)).trim();
  if (key === undefined) return undefined;
  if (key === "") throw new RangeError("Cannot serve as the key is empty: name one, or none");
  return new ApiKey(key);
}

/** The model's chat template, from the files beside its tokenizer. */
async function templateOf({ model, tokenizer }: ModelFiles): Promise<ChatTemplate | undefined> {
  const { isDirectory } = await Deno.stat(model);
  const beside = tokenizer ?? (isDirectory ? `${model}/tokenizer.json` : model);
  const folder = beside.replace(/[^/\\]*$/, "");
  const [config, template] = await Promise.all(
    ["tokenizer_config.json", "chat_template.jinja"].map((name) => findTextFile(folder + name)),
  );
  return ChatTemplate.of(config && JSON.parse(config.text), template?.text);
}

type ModelFiles = Pick<ServeOptions, "model" | "tokenizer">;
