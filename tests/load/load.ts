/** A server process under many short requests, some of whose clients go away in the middle. */
import { growsThroughout } from "../support/memory.ts";
import { RunningCommand } from "../support/processes.ts";
import type { Random } from "../support/random.ts";

/** The load. */
export interface LoadOptions {
  requests: number;
  /** Clients, each with one request at a time. */
  clients: number;
  /** Checkpoints to report. */
  checkpoints: number;
  /** Called at each of them. */
  onCheckpoint?(checkpoint: LoadCheckpoint): void;
}

/** How it went, up to a checkpoint. */
export interface LoadCheckpoint {
  /** Requests that are over. */
  requests: number;
  /** Those that were answered, and those whose clients went away. */
  answered: number;
  gone: number;
  /** Resident memory of the server in bytes; null where the system does not tell. */
  rss: number | null;
}

/** What came of it. */
export interface LoadResult {
  checkpoints: LoadCheckpoint[];
  seconds: number;
  /** Tokens of answers that were read to their ends. */
  tokens: number;
  faults: string[];
}

/** A request, and when its client goes away. */
interface Planned {
  body: Record<string, unknown> & { max_tokens: number; stream: boolean };
  /** The milliseconds after which it goes, or the events that it reads before; absent where it stays. */
  goes?: { afterMs: number } | { afterEvents: number };
}

/** An answer: its tokens, or that its client went away. */
type Answer = { tokens: number } | "gone";

const PROMPTS = ["a", "a b", "ab", "b a b", "ab ab ab a"];
const MOST_TOKENS = 12;
const SHARE_GONE = 0.2;
/** Milliseconds between two looks at a server that is to come to rest, and the most of these looks. */
const LOOK = { everyMs: 100, most: 600 };

/** Starts a server over a model, and sends it requests. */
export async function load(
  random: Random,
  { model, tokenizer }: { model: string; tokenizer: string },
  { requests, clients, checkpoints, onCheckpoint }: LoadOptions,
): Promise<LoadResult> {
  await using server = await RunningCommand.start("serve", [
    ...["--model", model, "--tokenizer", tokenizer, "--name", "m", "--port", "0"],
    ...["--max-queue", `${clients}`],
  ]);
  const [url] = server.line.match(/http:[^/]*\/\/[^/]+/)!;
  const waiting = Array.from({ length: requests }, () => plan(random));
  const result: LoadResult = { checkpoints: [], seconds: 0, tokens: 0, faults: [] };
  const { faults } = result;
  const counts = { requests: 0, answered: 0, gone: 0 };
  const each = Math.max(1, Math.floor(requests / checkpoints));
  const work = async () => {
    for (let one = waiting.shift(); one; one = waiting.shift()) {
      try {
        const answer = await ask(url, one);
        if (answer === "gone") counts.gone++;
        else {
          counts.answered++;
          result.tokens += answer.tokens;
        }
      } catch (error) {
        faults.push(`${JSON.stringify(one)}: ${error}`);
      }
      if (++counts.requests % each > 0) continue;
      const checkpoint = { ...counts, rss: await residentBytes(server.pid) };
      result.checkpoints.push(checkpoint);
      onCheckpoint?.(checkpoint);
    }
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: clients }, work));
  result.seconds = (performance.now() - start) / 1000;
  faults.push(...await unrestOf(url));
  const rss = result.checkpoints.flatMap(({ rss }) => rss ?? []);
  if (rss.length >= 8 && growsThroughout(rss)) {
    faults.push(`memory grew from ${rss[0]} to ${rss.at(-1)} bytes`);
  }
  const { code, err } = await server.end();
  if (code !== 0) faults.push(`the server ended with ${code}: ${err}`);
  return result;
}

function plan(random: Random): Planned {
  const stream = random.next() < 0.5;
  const body = {
    ...{ model: "m", prompt: random.pick(PROMPTS), stream, seed: random.integer(0, 2 ** 31) },
    max_tokens: random.integer(1, MOST_TOKENS),
    temperature: random.pick([0, 0.9]),
    ...(stream && { stream_options: { include_usage: true } }),
  };
  if (random.next() >= SHARE_GONE) return { body };
  const isLate = stream && random.next() < 0.5;
  const goes = isLate ? { afterEvents: random.integer(1, 3) } : { afterMs: random.integer(0, 200) };
  return { body, goes };
}

/** Sends a request and reads its answer, or goes away. */
async function ask(url: string, { body, goes }: Planned): Promise<Answer> {
  const controller = new AbortController();
  const timer = goes && "afterMs" in goes
    ? setTimeout(() => controller.abort(), goes.afterMs)
    : undefined;
  try {
    const response = await fetch(`${url}/v1/completions`, {
      ...{ method: "POST", body: JSON.stringify(body), signal: controller.signal },
    });
    const text = await read(response, goes && "afterEvents" in goes ? goes.afterEvents : Infinity);
    if (text === undefined) return "gone";
    if (response.status !== 200) throw new Error(`status ${response.status}: ${text}`);
    return { tokens: tokensOf(text, body) };
  } catch (error) {
    if (controller.signal.aborted) return "gone";
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** The text of a response; undefined where the reader went away after so many events. */
async function read(response: Response, mostEvents: number): Promise<string | undefined> {
  let text = "";
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text += part.value;
    if (text.split("\n\n").length <= mostEvents) continue;
    await reader.cancel();
    return undefined;
  }
  return text;
}

/** The new tokens of an answer, which must be whole: some, and no more than were asked for. */
function tokensOf(text: string, { stream, max_tokens: most }: Planned["body"]): number {
  const events = stream ? text.trimEnd().split("\n\n").map((event) => event.slice(6)) : [text];
  if (stream && events.pop() !== "[DONE]") throw new Error(`a stream that is not whole: ${text}`);
  const { usage } = JSON.parse(events.at(-1)!);
  const tokens = usage?.completion_tokens;
  if (tokens >= 1 && tokens <= most) return tokens;
  throw new Error(`${tokens} of at most ${most} tokens: ${text}`);
}

/** Waits for the server to have nothing to do; what it then still holds. */
async function unrestOf(url: string): Promise<string[]> {
  let held: string[] = [];
  for (let look = 0; look < LOOK.most; look++) {
    const text = await (await fetch(`${url}/metrics`)).text();
    held = text.split("\n").filter((line) =>
      /^onehead_(sequences\{|pages\{state="held"\})/.test(line) && !line.endsWith(" 0")
    );
    if (held.length === 0) return [];
    await new Promise((resolve) => setTimeout(resolve, LOOK.everyMs));
  }
  return held.map((line) => `at the end: ${line}`);
}

/** Resident memory of a process, where Linux tells it, and Deno is allowed to ask. */
async function residentBytes(pid: number): Promise<number | null> {
  try {
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    return 1024 * Number(status.match(/^VmRSS:\s+(\d+)/m)![1]);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
      return null;
    }
    throw error;
  }
}
