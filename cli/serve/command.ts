/** The command: a model behind HTTP until a signal ends it. */
import { findTextFile } from "../../src/checkpoints/text_file.ts";
import { Files } from "../shared/files.ts";
import type { Engine } from "../shared/generation/engine.ts";
import { openEngines } from "../shared/generation/open_engine.ts";
import { type Model, withModel } from "../shared/model_files.ts";
import { exitCodeOf, type Out } from "../shared/run.ts";
import { untilSignal } from "../shared/signals.ts";
import { ApiKey } from "./api_key.ts";
import { ChatTemplate } from "./chat_template.ts";
import { openGateway } from "./gateway.ts";
import { Handler } from "./handler.ts";
import { parseOptions, type ServeOptions } from "./options.ts";

/** Engines of this machine, or its workers': the one of the moment, and what tells that none is left. */
interface ServedEngines {
  current: () => Engine;
  failed?: Promise<never>;
  destroy(): void | Promise<void>;
}

const ACTION = "serve";
const KEY_VARIABLE = "ONEHEAD_API_KEY";

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
  const engines: ServedEngines = options.cluster
    ? await openGateway(model, options.cluster, out)
    : await openEngines(model, options, out);
  try {
    await listen(model, engines, options, key, out);
  } finally {
    await engines.destroy();
  }
}

async function listen(
  { tokenizer }: Model,
  engines: ServedEngines,
  options: ServeOptions,
  key: ApiKey | undefined,
  out: Out,
): Promise<void> {
  const name = options.name ?? options.model.replace(/[/\\]$/, "").replace(/^.*[/\\]/, "");
  const served = {
    ...{ name, tokenizer, created: Math.floor(Date.now() / 1000) },
    template: await templateOf(options),
  };
  const { maxBody: maxBytes, maxPrompt, maxQueue } = options;
  const handler = new Handler(served, engines.current, {
    ...{ maxBytes, maxPrompt, maxQueue, timeout: 30_000, requestTimeout: options.timeout * 1000 },
  }, key);
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    const { port, host: hostname } = options;
    server = Deno.serve({ port, hostname, onListen: () => {} }, handler.handle);
  } catch (error) {
    throw new RangeError(
      `Cannot serve as ${options.host}:${options.port} cannot be listened on (choose another --port): ` +
        (error as Error).message,
    );
  }
  const { hostname, port } = server.addr;
  out.log(`Serving ${name} at http://${hostname}:${port}/v1 (Ctrl-C ends it)`);
  const finish = async () => {
    await handler.close();
    await server.shutdown();
  };
  await untilSignal(out, finish, engines.failed);
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
