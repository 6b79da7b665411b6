/** `deno run fleet`: the command line around a fleet that is measured and simulated. */
import { exitBy, longRun } from "../support/long_run.ts";
import { checkFleet } from "./fleet.ts";

const WORKERS = 3;
/** Simulated figures are within this share of measured ones. */
const TOLERANCE = 0.2;

export const runCommand = longRun({
  summary: "Sends requests to three workers, and simulates them with the steps' times.",
  task: "fleet",
  counted: "requests",
  counts: "requests, at once and then at random times",
  count: 300,
}, async ({ count: requests, seed, log }) => {
  const { overheadMs, loads } = await checkFleet({ workers: WORKERS, requests, seed });
  log(`a request alone takes ${overheadMs.toFixed(1)} ms beyond its steps`);
  const faults: string[] = [];
  for (const { load, measured, simulated } of loads) {
    for (const name of ["throughput", "firstMs", "lastMs"] as const) {
      const ratio = simulated[name] / measured[name];
      const [was, is] = [measured[name], simulated[name]].map((value) => value.toPrecision(4));
      const line = `${load.padEnd(10)} ${name.padEnd(11)} measured ${was}, simulated ${is}`;
      log(`${line}, ratio ${ratio.toFixed(2)}`);
      if (!(Math.abs(ratio - 1) <= TOLERANCE)) {
        faults.push(`${load}: ${name} is off by ${(100 * (ratio - 1)).toFixed(0)} %`);
      }
    }
  }
  return { overheadMs, loads, faults };
});

if (import.meta.main) await exitBy(runCommand);
