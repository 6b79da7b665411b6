/** Many prompts from a file, one a line, and their results, as they come. */
import type { Tokenizer } from "../../../src/model/tokenizer/tokenizer.ts";
import { z } from "zod";
import type { Engine, Generation, SequenceRequest } from "./engine.ts";
import { type FinishReason, TextChoice } from "./text_choice.ts";

/** A line of the file; fields that it leaves out are as for all. */
const schema = z.strictObject({
  id: z.union([z.string(), z.number()]).optional(),
  prompt: z.union([z.string(), z.array(z.int().min(0)).min(1)]),
  max_tokens: z.int().min(1).optional(),
  temperature: z.number().min(0).optional(),
  top_p: z.number().gt(0).max(1).optional(),
  top_k: z.int().min(0).optional(),
  min_p: z.number().min(0).max(1).optional(),
  repetition_penalty: z.number().gt(0).optional(),
  frequency_penalty: z.number().optional(),
  presence_penalty: z.number().optional(),
  seed: z.int().min(0).max(2 ** 32 - 1).optional(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1))]).optional(),
});

/** A prompt that is to be continued. */
export interface PromptLine extends Omit<z.infer<typeof schema>, "id"> {
  /** Its own, or the number of its line. */
  id: string;
}

/** A line that cannot be used, and why. */
export interface BadLine {
  id: string;
  error: string;
}

/** The result of a line. */
export type PromptResult =
  | { id: string; text: string; finish: FinishReason; promptTokens: number; tokens: number }
  | BadLine;

/** The values for lines that do not say otherwise. */
export interface PromptDefaults {
  maxTokens: number;
  temperature: number;
  topP: number;
  seed: number;
}

/** Reads the lines of a file of prompts; empty ones are passed over. */
export function readPrompts(text: string): (PromptLine | BadLine)[] {
  const seen = new Set<string>();
  return text.split("\n").flatMap((line, i) => {
    if (line.trim() === "") return [];
    const read = parseLine(line, `${i + 1}`);
    if (!seen.has(read.id)) {
      seen.add(read.id);
      return [read];
    }
    return [{ id: `line ${i + 1}`, error: `id ${read.id} stands on an earlier line` }];
  });
}

function parseLine(line: string, id: string): PromptLine | BadLine {
  try {
    return readLine(JSON.parse(line), id);
  } catch (error) {
    return { id, error: `the line must be JSON: ${(error as Error).message}`.slice(0, 300) };
  }
}

/** Checks a line; `id` is its own where it has none. */
export function readLine(value: unknown, id: string): PromptLine | BadLine {
  const { success, data, error } = schema.safeParse(value);
  if (success) return { ...data, id: `${data.id ?? id}` };
  const [issue] = error.issues;
  return { id, error: `${issue.path.join(".") || "the line"}: ${issue.message}`.slice(0, 300) };
}

/**
 * The ids whose results a file has already, and how much of the file is whole: a line that was being written when the process
 * died is not.
 */
export function readResults(text: string): { ids: Set<string>; whole: string } {
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  const ids = whole.split("\n").filter((line) => line !== "").map((line) => {
    try {
      return `${JSON.parse(line).id}`;
    } catch {
      throw new RangeError(
        `Cannot resume as the results must be lines of JSON (name another --out): ${
          line.slice(0, 80)
        }`,
      );
    }
  });
  return { ids: new Set(ids), whole };
}

/** Runs prompts, at most `together` at once, and hands over each result when it is there. */
export async function runPrompts(
  engine: Engine,
  tokenizer: Tokenizer,
  lines: readonly (PromptLine | BadLine)[],
  { together, defaults, onResult }: {
    together: number;
    defaults: PromptDefaults;
    onResult: (result: PromptResult) => Promise<void>;
  },
): Promise<void> {
  const waiting = [...lines];
  const work = async () => {
    for (let line = waiting.shift(); line; line = waiting.shift()) {
      await onResult(
        "error" in line ? line : await continueLine(engine, tokenizer, line, defaults),
      );
    }
  };
  await Promise.all(Array.from({ length: together }, work));
}

/** Continues one prompt. */
export async function continueLine(
  engine: Engine,
  tokenizer: Tokenizer,
  line: PromptLine,
  defaults: PromptDefaults,
): Promise<PromptResult> {
  const { id, prompt, stop } = line;
  const { maxTokens: most, temperature, topP, seed } = defaults;
  const tokens = typeof prompt === "string" ? tokenizer.encode(prompt) : prompt;
  const maxTokens = line.max_tokens ?? most;
  const unknown = tokens.find((token) => token >= tokenizer.vocabSize);
  if (unknown !== undefined) return { id, error: `there is no token ${unknown}` };
  if (tokens.length === 0) return { id, error: "the prompt must have a token" };
  if (tokens.length + maxTokens > engine.contextLen) {
    const sizes = `${tokens.length} and ${maxTokens} tokens, and the context ${engine.contextLen}`;
    return { id, error: `prompt and new tokens must fit the context: they have ${sizes}` };
  }
  const endTokens = tokenizer.endOfText;
  const stops = stop === undefined ? [] : [stop].flat();
  const choice = new TextChoice(tokenizer, { prompt: tokens, endTokens, stops, maxTokens });
  const request: SequenceRequest = {
    ...{ tokens, maxTokens, endTokens },
    temperature: line.temperature ?? temperature,
    topP: line.top_p ?? topP,
    topK: line.top_k ?? 0,
    minP: line.min_p ?? 0,
    repetitionPenalty: line.repetition_penalty ?? 1,
    frequencyPenalty: line.frequency_penalty ?? 0,
    presencePenalty: line.presence_penalty ?? 0,
    logitBias: new Map(),
    seed: line.seed ?? seed,
  };
  let generation: Generation;
  try {
    generation = engine.submit(request);
  } catch (error) {
    // What the line asks for is out of range: that spoils no other.
    if (error instanceof RangeError) return { id, error: error.message };
    throw error;
  }
  let text = "";
  for await (const part of generation) {
    text += choice.push(part).text;
    if (choice.finish) break;
  }
  generation.cancel();
  const finish = choice.finish ?? "length";
  return { id, text, finish, promptTokens: tokens.length, tokens: choice.count };
}
