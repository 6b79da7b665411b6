/** The process of one system with one model: it answers requests until nobody asks any more. */
import { messageOf, verdictOn } from "../peers/attempt.ts";
import { LoadError } from "../peers/peer.ts";
import { countGpuWork, workBetween } from "./gpu_work.ts";
import { KernelClock } from "./kernel_clock.ts";
import { type Job, lineOf, linesOf, type Reply, type Request } from "./message.ts";
import { withModel } from "./model.ts";
import { SYSTEMS } from "./systems.ts";

const job: Job = JSON.parse(Deno.args[0]);
const system = SYSTEMS.find(({ name }) => name === job.system)!;

// The last line of what systems print is the reason where they crash.
console.log = console.info = console.debug = console.error;

const workSoFar = countGpuWork();
const clock = new KernelClock();

function reply(message: Reply): void {
  const bytes = new TextEncoder().encode(lineOf(message));
  for (let done = 0; done < bytes.length;) done += Deno.stdout.writeSync(bytes.subarray(done));
}

try {
  const start = performance.now();
  const prepare = await system.load().catch((error) => {
    throw new LoadError(error);
  });
  const model = await withModel(job.model, (source) => prepare(source, job));
  const loadMs = performance.now() - start;
  reply({ ready: { cacheBytes: model.cacheBytes, loadMs } });
  for await (const line of linesOf(Deno.stdin.readable)) {
    const { prompts, tokens, timesKernels }: Request = JSON.parse(line);
    if (timesKernels) clock.start();
    const before = workSoFar();
    const start = performance.now();
    const generated = await model.generate(prompts, tokens);
    const milliseconds = performance.now() - start;
    const residentBytes = Deno.memoryUsage().rss;
    const work = workBetween(before, workSoFar());
    const kernels = timesKernels ? await clock.stop() : null;
    reply({ answer: { tokens: generated, milliseconds, residentBytes, work, kernels } });
  }
} catch (error) {
  reply({ failure: { verdict: verdictOn(error), message: messageOf(error) } });
}
// Systems keep threads and devices.
Deno.exit();
