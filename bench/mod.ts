/** Measuring for other programs: ceilings of a device, its cases for an asker, and the report of `deno run bench --json`. */
export { answerOnce } from "./adapters/answer.ts";
export { BENCH_SERVICE } from "./adapters/asked.ts";
export { measureCeilings } from "./ceilings.ts";
export { movedBytes, operations } from "./counts.ts";
export { endsOf } from "./decode_ceilings.ts";
export { parseReport } from "./report/parse.ts";
export { measureOverhead } from "./serving/overhead.ts";
export { isServing, parseServing } from "./serving/parse.ts";
export { drawRequests } from "./serving/requests.ts";
export type { ServingReport } from "./serving/result.ts";
export type { AdapterInfo, DecodeCeiling, Report, Result, Roofline } from "./result.ts";
export { median } from "./statistics.ts";
