// Prompts and streams over workers that are killed at random, against the same ones without a cluster.
import { jetstreamManager } from "@nats-io/jetstream";
import OpenAI from "openai";
import { runCommand as generate } from "../../cli/generate/command.ts";
import { run } from "../support/commands.ts";
import { NatsServer } from "../support/nats.ts";
import { RunningCommand } from "../support/processes.ts";
import type { Random } from "../support/random.ts";
import { until, within } from "../support/within.ts";

/** What is run, and how often a worker is killed. */
export interface ChaosOptions {
  model: string;
  tokenizer: string;
  /** Prompts, each continued from a file, and by a stream. */
  prompts: number;
  /** Tokens of an answer. */
  tokens: number;
  workers: number;
  /** Streams at a time. */
  clients: number;
  /** Seconds after which the prompts of a silent worker go to others. */
  patience: number;
  /** Milliseconds after which prompts of a file, or streams, hang. */
  hangs: number;
  /** Resolves when another worker is to be killed, after so many in the same work; `begun` does when a worker is within it. */
  killAt: (kills: number, begun: Promise<void>) => Promise<void>;
}

/** What came of it. */
export interface ChaosResult {
  kills: { file: number; streams: number };
  seconds: { alone: number; file: number; streams: number };
  faults: string[];
}

interface Line {
  id: string;
  prompt: string;
  seed: number;
  max_tokens: number;
}

/** Runs all of it; `random` draws the prompts, and who is killed. */
export async function chaos(random: Random, options: ChaosOptions): Promise<ChaosResult> {
  const folder = await Deno.makeTempDir();
  try {
    await using server = await NatsServer.start("--jetstream", "--store_dir", folder);
    return await runAll(random, options, { folder, server });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function runAll(
  random: Random,
  options: ChaosOptions,
  { folder, server }: { folder: string; server: NatsServer },
): Promise<ChaosResult> {
  const { url } = server;
  const { model, tokenizer, prompts, tokens, workers, patience } = options;
  const lines: Line[] = Array.from({ length: prompts }, (_, i) => ({
    ...{ id: `${i}`, prompt: random.pick(["a", "a b", "ab", "b a b"]) },
    ...{ seed: random.integer(0, 2 ** 32 - 1), max_tokens: random.integer(1, tokens) },
  }));
  const file = `${folder}/prompts.jsonl`;
  await Deno.writeTextFile(file, lines.map((line) => JSON.stringify(line)).join("\n"));
  const files = ["--model", model, "--tokenizer", tokenizer];
  const continued = async (out: string, ...more: string[]) => {
    const path = `${folder}/${out}`;
    const ask = [...files, "--prompts", file, "--temperature", "0.9", "--out", path, ...more];
    const { code, err } = await run(generate, ...ask);
    if (code !== 0) throw new Error(err);
    const text = await Deno.readTextFile(path);
    // The text of a result, or its error.
    return text.trimEnd().split("\n").map((line) => {
      const { id, text, error } = JSON.parse(line);
      return { id, text: text ?? error };
    });
  };
  const [alone, secondsAlone] = await timed(() => continued("alone"));
  const texts = new Map(alone.map(({ id, text }) => [id, text]));

  const start = () =>
    RunningCommand.start("worker", [...files, "--nats", url, "--patience", `${patience}`]);
  const mortals = new Mortals(random, start, options);
  await mortals.add(workers);
  const faults: string[] = [];
  try {
    const [far, seconds] = await timed(() =>
      mortals.dieDuring("the file", async (begin) => {
        const [results] = await Promise.all([
          continued("far", "--nats", url),
          untilJobIsTaken(server).then(begin),
        ]);
        return results;
      })
    );
    faults.push(...faultsOf("file", lines, far.value, texts));
    await using gateway = await RunningCommand.start("serve", [
      ...[...files, "--nats", url, "--name", "m", "--port", "0", "--max-queue", "1000"],
    ]);
    const [baseURL] = gateway.line.match(/http:\S+/)!;
    const [streamed, streamSeconds] = await timed(() =>
      mortals.dieDuring("the streams", (begin) => streamAll(baseURL, lines, { ...options, begin }))
    );
    faults.push(...faultsOf("stream", lines, streamed.value, texts));
    return {
      kills: { file: far.kills, streams: streamed.kills },
      seconds: { alone: secondsAlone, file: seconds, streams: streamSeconds },
      faults,
    };
  } finally {
    await mortals.end();
  }
}

/** Resolves when a worker has taken a prompt, and not yet stored what came of it. */
async function untilJobIsTaken(server: NatsServer): Promise<void> {
  const { connection } = await server.join();
  const { consumers } = await jetstreamManager(connection);
  await until(async () => {
    const [info] = await consumers.list("onehead--prompts--jobs").next();
    return info.num_ack_pending > 0;
  }, "a prompt at a worker");
}

/** Workers that are killed at random, and followed by others. */
class Mortals {
  readonly #random: Random;
  readonly #start: () => Promise<RunningCommand>;
  readonly #options: Pick<ChaosOptions, "hangs" | "killAt">;
  readonly #alive: RunningCommand[] = [];

  constructor(
    random: Random,
    start: () => Promise<RunningCommand>,
    options: Pick<ChaosOptions, "hangs" | "killAt">,
  ) {
    this.#random = random;
    this.#start = start;
    this.#options = options;
  }

  /** Starts some. */
  async add(count: number): Promise<void> {
    this.#alive.push(...await Promise.all(Array.from({ length: count }, this.#start)));
  }

  /** Kills one again and again, until the work is done, which calls `begin` when a worker is within it. */
  async dieDuring<Value>(
    what: string,
    work: (begin: () => void) => Promise<Value>,
  ): Promise<{ value: Value; kills: number }> {
    const { hangs, killAt } = this.#options;
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    let [isDone, kills] = [false, 0];
    const done = within(work(begin), what, hangs).finally(() => isDone = true);
    while (!isDone) {
      await Promise.race([done, killAt(kills, begun)]);
      if (isDone) break;
      const index = this.#random.integer(0, this.#alive.length - 1);
      await this.#alive.splice(index, 1)[0].end("SIGKILL");
      kills++;
      await this.add(1);
    }
    return { value: await done, kills };
  }

  async end(): Promise<void> {
    for (const worker of this.#alive) await worker.end("SIGKILL");
  }
}

/** The texts of streams, so many at a time; calls `begin` when one says something. */
async function streamAll(
  baseURL: string,
  lines: readonly Line[],
  { clients, begin }: { clients: number; begin: () => void },
) {
  const client = new OpenAI({ apiKey: "none", maxRetries: 0, baseURL });
  const results: { id: string; text: string }[] = [];
  const waiting = [...lines];
  const work = async () => {
    for (let line = waiting.shift(); line; line = waiting.shift()) {
      const { id, ...ask } = line;
      const body = { ...ask, model: "m", temperature: 0.9, stream: true } as const;
      let text = "";
      for await (const { choices } of await client.completions.create(body)) {
        begin();
        text += choices[0]?.text ?? "";
      }
      results.push({ id, text });
    }
  };
  await Promise.all(Array.from({ length: clients }, work));
  return results;
}

/** What is missing, double, or other than it is alone. */
function faultsOf(
  kind: string,
  lines: readonly Line[],
  results: readonly { id: string; text: string }[],
  texts: ReadonlyMap<string, string>,
): string[] {
  const faults = results
    .filter(({ id, text }) => text !== texts.get(id))
    .map(({ id, text }) => `${kind} ${id}: ${JSON.stringify(text)}, alone ${texts.get(id)}`);
  const ids = new Set(results.map(({ id }) => id));
  if (results.length === lines.length && ids.size === lines.length) return faults;
  return [
    ...faults,
    `${kind}: ${results.length} results of ${ids.size} prompts, not ${lines.length}`,
  ];
}

async function timed<Value>(work: () => Promise<Value>): Promise<[value: Value, seconds: number]> {
  const start = performance.now();
  return [await work(), (performance.now() - start) / 1000];
}
