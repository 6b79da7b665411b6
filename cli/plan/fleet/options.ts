/** The part of the command line that is about fleets. */
import type { Arguments } from "../../shared/arguments.ts";
import type { FleetDemand } from "./fleet.ts";
import { parseLengths } from "./lengths.ts";

export const FLEET_NAMES = [
  ...["rate", "prompt", "answer", "first", "between", "price", "sequences", "step-tokens"],
  ...["efficiency", "read", "step-times", "overhead", "requests", "seed"],
] as const;

export const FLEET_HELP =
  `  --fleet            GPUs for a rate of requests, by a simulation of the scheduler of serve
  --rate NUMBER      requests a second, at random (default: 10)
  --prompt TOKENS    tokens of prompts: 512, or 64-2k, any between as likely (default: 64-2k)
  --answer TOKENS    tokens of answers (default: 16-512)
  --first NUMBER     seconds up to the first token, of 95 in 100 requests at most (default: 2)
  --between NUMBER   milliseconds between tokens, of 95 in 100 requests at most (default: 100)
  --price NUMBER     price of a GPU for an hour: adds the cost of a million tokens
  --sequences NUMBER most sequences that a GPU runs together (default: 64)
  --step-tokens NUMBER
                     most tokens of a step (default: 512)
  --efficiency NUMBER
                     share of the GPU's ceilings that steps reach, up to 1 (default: 1, which no program does)
  --read NUMBER      milliseconds of a read by the host (default: 10, as Deno's takes)
  --step-times FILE  step times in a JSON of bench serving, of the same heads, layers and element types, in the place of
                     ceilings and reads
  --overhead NUMBER  milliseconds of a request beyond its steps, as deno run fleet measures it: messages, gateway and the like
                     (default: as in the JSON of --step-times, 0 without)
  --requests NUMBER  least requests that are simulated of a GPU (default: 400)
  --seed NUMBER      repeats the requests (default: 1)`;

/** Reads a fleet that is asked for. */
export function readFleet(
  given: Pick<Arguments<typeof FLEET_NAMES[number]>, "number" | "text">,
): FleetDemand {
  const above = { min: Number.MIN_VALUE, isFraction: true };
  const count = { min: 1 };
  const sequences = given.number("sequences", count) ?? 64;
  return {
    rate: given.number("rate", above) ?? 10,
    prompt: parseLengths("--prompt", given.text("prompt") ?? "64-2k"),
    answer: parseLengths("--answer", given.text("answer") ?? "16-512"),
    target: {
      firstSeconds: given.number("first", above) ?? 2,
      tokenMs: given.number("between", above) ?? 100,
    },
    price: given.number("price", above),
    sequences,
    stepTokens: given.number("step-tokens", { min: sequences }) ?? Math.max(512, sequences),
    efficiency: given.number("efficiency", { ...above, max: 1 }) ?? 1,
    readMs: given.number("read", { min: 0, isFraction: true }) ?? 10,
    overheadMs: given.number("overhead", { min: 0, isFraction: true }),
    requests: given.number("requests", { min: 20 }) ?? 400,
    seed: given.number("seed", { min: 0, max: 2 ** 32 - 1 }) ?? 1,
  };
}
