/** What others may have measured on an adapter: names and numbers of the bench's own options, never files or code. */
import { z } from "zod";
import { sentence } from "../../src/base/check.ts";
import { MessageError } from "../../src/cluster/errors.ts";
import { allocatedBytes } from "../inputs.ts";
import { type BenchOptions, parseOptions, REMOTE_NAMES } from "../options.ts";

/** The service by which a worker measures its adapter for others; those of other versions do not meet. */
export const BENCH_SERVICE = { name: "bench", fingerprint: "1" } as const;

/** Bytes of a case's inputs, in all their copies, and output, at most: more could exhaust a worker's memory. */
const MOST_BYTES = 2 ** 30;

const text = z.string().min(1).max(1000).optional();
const asked = z.strictObject({
  options: z.strictObject(
    Object.fromEntries(REMOTE_NAMES.map((name) => [name, text])) as Record<
      typeof REMOTE_NAMES[number],
      typeof text
    >,
  ),
  quick: z.boolean(),
});

/** Options as they are written, and whether few cases are asked for. */
export type AskedOptions = z.infer<typeof asked>;

/**
 * Reads options that were sent, as the command line has them.
 *
 * @throws {MessageError} If they are not of this form.
 * @throws {TypeError | RangeError} If the bench refuses them, or a case needs too much memory.
 */
export function readAsked(value: unknown): BenchOptions {
  const { success, data } = asked.safeParse(value);
  if (!success) {
    const rule = `it must have options of ${REMOTE_NAMES.join(", ")}, and quick`;
    throw new MessageError(sentence("read what to measure", rule, { asked: value }));
  }
  const given = Object.entries(data.options).map(([name, text]) => `--${name}=${text}`);
  const options = parseOptions([...given, ...(data.quick ? ["--quick"] : [])]) as BenchOptions;
  for (const case_ of options.groups.flat()) {
    const bytes = allocatedBytes(case_);
    if (bytes <= MOST_BYTES) continue;
    const { name, batch, contextLen } = case_;
    const rule = "the inputs and outputs of a case must fit a worker's memory";
    const values = { model: name, batch, contextLen, bytes, most: MOST_BYTES };
    throw new RangeError(sentence("measure for others", rule, values));
  }
  return options;
}
