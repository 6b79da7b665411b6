/** The steps by which a machine's GPU gives evidence: each a command with files of results. Pure. */

/** A step: a command, and what it leaves in the folder of results. */
export interface Step {
  name: string;
  /** The command line, its program first. */
  command: readonly string[];
  /** Minutes that it may take. */
  minutes: number;
}

/** The shapes of attention that figures are quoted of: 32 heads of 128 over 32, 8 and 1 KV heads. */
const SHAPE = ["--heads", "32", "--kv-heads", "32,8,1", "--impl", "auto"];

/**
 * The steps, those whose figures are wanted most before those that take long.
 *
 * @param folder Where results go.
 * @param isShort Whether to try the same on few and small inputs, as a software adapter needs.
 */
export function stepsInto(folder: string, isShort: boolean): Step[] {
  const quick = isShort ? ["--quick"] : [];
  const [contexts, seqLen] = isShort ? ["64,512", "64"] : ["4096,16384,131072", "2048"];
  const types = isShort ? "f32" : "f32,f16";
  const task = (name: string, ...args: string[]) => ["sh", "tools/run", name, ...args];
  const json = (name: string) => ["--json", `${folder}/${name}.json`];
  const decode = ["--phase", "decode", "--context", contexts, "--dtype", types];
  const prefill = ["--phase", "prefill", "--seq", seqLen, "--context", seqLen, "--dtype", types];
  const linear = isShort ? ["--tokens", "1,8", "--inputs", "256", "--outputs", "256"] : [];
  const sdpa = ["--contexts", contexts, "--prefill", seqLen];
  const tests = isShort ? ["tests/attend/attention_values_test.ts"] : [];
  return [
    {
      name: "adapter",
      command: task("adapter", ...json("adapter")),
      minutes: 1,
    },
    {
      name: "decode",
      command: task("bench", ...SHAPE, ...decode, ...quick, ...json("decode")),
      minutes: 2,
    },
    {
      name: "prefill",
      command: task("bench", ...SHAPE, ...prefill, ...quick, ...json("prefill")),
      minutes: 2,
    },
    {
      name: "pytorch",
      command: ["python3", "tools/evidence/sdpa.py", ...sdpa, ...json("pytorch")],
      minutes: 2,
    },
    {
      name: "linear",
      command: task("bench", "linear", ...linear, ...quick, ...json("linear")),
      minutes: 2,
    },
    {
      name: "models",
      command: task("bench", "--quick", ...json("models"), "--svg", `${folder}/models.svg`),
      minutes: 3,
    },
    {
      name: "tune",
      command: task(
        "bench",
        "tune",
        "--quick",
        ...(isShort ? ["--models", "GPT-2"] : []),
        ...json("tune"),
      ),
      minutes: 4,
    },
    { name: "tests", command: task("test", ...tests), minutes: 10 },
  ];
}

/** The minutes that a step may take where so many are left for all. */
export function minutesFor({ minutes }: Step, left: number): number {
  return Math.max(0, Math.min(minutes, left));
}

/** How a step ended. */
export type Outcome = "passed" | "failed" | "skipped" | "out of time";

/** The exit code by which a command says that it cannot run on this machine. */
export const CANNOT_RUN = 3;

/** How a command of this exit code ended. */
export function outcomeOf(code: number, isOutOfTime: boolean): Outcome {
  if (isOutOfTime) return "out of time";
  if (code === CANNOT_RUN) return "skipped";
  return code === 0 ? "passed" : "failed";
}
