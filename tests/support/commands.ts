// Commands as tests run them: what they print, and a model that is small enough for every test.
import { SILENT } from "../../cli/shared/progress.ts";
import type { Out } from "../../cli/shared/run.ts";
import { inFolder } from "./checkpoint_files.ts";
import { FIRST_PIECE, tokenizerFile } from "./tokenizer_file.ts";
import type { Random } from "./random.ts";

/** Runs a command; what it prints is kept. */
export async function run(
  command: (args: readonly string[], out: Out) => Promise<number>,
  ...args: string[]
): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ["", ""];
  const code = await command(args, {
    log: (text) => void (out += `${text}\n`),
    write: (text) => void (out += text),
    error: (text) => void (err += `${text}\n`),
    progress: () => SILENT,
  });
  return { code, out, err };
}

const PIECES = [" ", "a", "b", " a", "ab"];
/** dim, hidden, layers, heads, KV heads, vocabulary. */
const SIZES = [16, 12, 2, 4, 2, FIRST_PIECE + PIECES.length];

/** Writes a llama2.c model of random weights and its tokenizer, in llama2.c's layout. */
export async function withModel<Value>(
  random: Random,
  test: (files: { folder: string; model: string; tokenizer: string }) => Promise<Value>,
  { context = 48 } = {},
): Promise<Value> {
  const header = [...SIZES, context];
  const floats = floatsBehind(header);
  const weights = random.tensor([floats]).data;
  const bytes = new Uint8Array(4 * (header.length + floats));
  bytes.set(new Uint8Array(Int32Array.from(header).buffer));
  bytes.set(new Uint8Array(weights.buffer), 4 * header.length);
  return await inFolder(
    { "model.bin": bytes, "tok.bin": tokenizerFile(PIECES) },
    (folder) => test({ folder, model: `${folder}/model.bin`, tokenizer: `${folder}/tok.bin` }),
  );
}

/** Floats of a llama2.c model behind its header. */
export function floatsBehind(header: readonly number[]): number {
  const [dim, hidden, layers, heads, kvHeads, vocab, context] = header;
  const headDim = dim / heads;
  const layer = 2 * dim + 2 * dim * dim + 2 * kvHeads * headDim * dim + 3 * hidden * dim;
  return vocab * dim + layers * layer + dim + context * headDim;
}
