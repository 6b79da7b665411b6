/** The sections of a fleet. */
import { left, right } from "../../shared/report/columns.ts";
import { alignDecimals, shortBytes } from "../../shared/report/units.ts";
import { SIMULATED_REPLICAS } from "../fleet/plan_fleet.ts";
import type { FleetPlan, FleetVariant, Quantiles, SimulatedFleet } from "../fleet/fleet.ts";
import type { Lengths } from "../fleet/lengths.ts";
import type { Plan } from "../plan.ts";
import { fleetFigure } from "./figures/fleet.ts";
import type { Section } from "../../shared/report/section.ts";
import { shortCount } from "./units.ts";

/** GPUs by rates, the fleet at the rate that was asked for, and shards. */
export function fleetSections(plan: Plan, fleet: FleetPlan): Section[] {
  return [needs(plan, fleet), replicas(fleet), shards(fleet)];
}

function needs(plan: Plan, fleet: FleetPlan): Section {
  const { demand: { prompt, answer, target }, variants } = fleet;
  return {
    id: "fleet",
    title: "GPUs for requests",
    text: `Requests that come at random, prompts of ${range(prompt)} and answers of ${
      range(answer)
    } tokens: 95 in 100 have their first token within ${target.firstSeconds} s, and the others ${target.tokenMs} ms apart or less. A dash stands where not even a request alone is in time.`,
    columns: [
      ...variantColumns(variants),
      ...variants[0].needs.map(({ rate }, i) =>
        right(
          `${Number(rate.toPrecision(3))}/s`,
          variants.map(({ needs }) => countOf(needs[i].gpus)),
        )
      ),
    ],
    figure: fleetFigure(plan, fleet),
  };
}

function replicas({ demand, variants }: FleetPlan): Section {
  const { rate, price } = demand;
  const figures = (heading: string, valueOf: (variant: FleetVariant) => number | null) =>
    right(heading, alignDecimals(variants.map(valueOf)));
  const simulated = (heading: string, valueOf: (simulated: SimulatedFleet) => number) =>
    figures(heading, (variant) => variant.simulated && valueOf(variant.simulated));
  const both = (heading: string, name: "firstSeconds" | "tokenMs" | "lastSeconds") =>
    (["p50", "p95"] satisfies (keyof Quantiles)[]).map((share) =>
      simulated(`${heading} ${share}`, (simulated) => simulated[name][share])
    );
  const overheads = [...new Set(variants.map(({ overheadMs }) => overheadMs.toFixed(1)))].join(
    ", ",
  );
  const [seconds] = variants.flatMap(({ simulated }) => simulated?.seconds ?? []);
  return {
    id: "replicas",
    title: `A fleet for ${rate} requests a second`,
    text: `The scheduler of serve, simulated with ${demand.requests} requests a replica or more${
      seconds === undefined ? "" : ` (${seconds.toFixed(0)} s)`
    }: all replicas up to ${SIMULATED_REPLICAS}, and ${SIMULATED_REPLICAS} of more behind a gateway with their share of the requests; all else is scaled from these: ${
      (rate * 86400).toLocaleString("en-US", { maximumFractionDigits: 0 })
    } requests a day. Prompts share no beginnings. Beyond its steps a request takes ${overheads} ms.`,
    columns: [
      ...variantColumns(variants),
      right("replicas", variants.map(({ replicas }) => countOf(replicas))),
      right("GPUs", variants.map(({ gpus }) => countOf(gpus))),
      figures("requests/s alone", ({ rates }) => rates.alone || null),
      figures("behind a gateway", ({ rates }) => rates.shared || null),
      simulated("run together", ({ running }) => running),
      right("tokens that fit", variants.map(({ cacheTokens }) => countOf(cacheTokens))),
      ...both("first token s", "firstSeconds"),
      ...both("between ms", "tokenMs"),
      ...both("last token s", "lastSeconds"),
      right(
        "wire bytes a token",
        variants.map(({ replicas, wireBytes: { gateway } }) =>
          replicas === 1 ? "-" : gateway.toFixed(0)
        ),
      ),
      ...(price === undefined
        ? []
        : [figures("price of 1e6 tokens", ({ pricePerMillion }) => pricePerMillion)]),
    ],
  };
}

function shards({ variants }: FleetPlan): Section {
  return {
    id: "shards",
    title: "GPUs for one long sequence",
    text:
      "The GPU with the weights, and shards beside it where it does not hold the cache, divided by tokens. For each generated token and shard, the wire carries queries, keys, values and states of all layers. Two shards are faster than one GPU, could it hold the tokens, from where half of the tokens take a layer longer than two reads by the host and 2 ms of messages; below, shards are for contexts that do not fit.",
    columns: [
      ...variantColumns(variants),
      ...variants[0].contexts.map(({ contextLen }, i) =>
        right(
          shortCount(contextLen),
          variants.map(({ contexts }) => {
            const { shards } = contexts[i];
            return shards === 0 ? "1" : `1 + ${countOf(shards)}`;
          }),
        )
      ),
      right("two faster from", variants.map(({ shardsFrom }) => countOf(shardsFrom))),
      right(
        "wire bytes a token and shard",
        variants.map(({ wireBytes: { shard } }) => shortBytes(shard)),
      ),
    ],
  };
}

function variantColumns(variants: readonly FleetVariant[]) {
  return [
    left("variant", variants.map(({ label, isOwn }) => isOwn ? `${label} *` : label)),
    left("dtype", variants.map(({ dtype }) => dtype)),
  ];
}

function countOf(value: number | null): string {
  return value === null ? "-" : value.toLocaleString("en-US");
}

function range({ least, most }: Lengths): string {
  return least === most ? `${least}` : `${least} to ${most}`;
}
