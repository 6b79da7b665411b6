/** A fleet that is asked for, and what it takes. */
import type { KvDtype } from "../../../mod.ts";
import type { CacheVariant } from "../../shared/variant.ts";
import type { Demand } from "./requests.ts";

/** A fleet that is asked for. */
export interface FleetDemand extends Demand {
  /** Seconds up to the first token, and milliseconds between tokens, of 95 in 100 requests at most. */
  target: { firstSeconds: number; tokenMs: number };
  /** Price of a GPU for an hour, in any currency; absent where no cost is asked for. */
  price?: number;
  /** Most sequences that a replica runs together. */
  sequences: number;
  /** Most tokens of a step. */
  stepTokens: number;
  /** Share of the device's ceilings that steps reach. */
  efficiency: number;
  /** Milliseconds of a read by the host. */
  readMs: number;
  /** Milliseconds of a request beyond its steps. The default is as measured with the step times, and 0 without these. */
  overheadMs?: number;
  /** Least requests that are simulated of each replica, those that fill it among them. */
  requests: number;
  /** Of the requests that are drawn. */
  seed: number;
}

/** Half of some figures, and 95 in 100, are at most this. */
export interface Quantiles {
  p50: number;
  p95: number;
}

/** What was simulated of a fleet: all of it, or as many replicas with their share of the requests. */
export interface SimulatedFleet {
  replicas: number;
  requests: number;
  /** From the first request to the end of the last. */
  seconds: number;
  /** Seconds up to the first token. */
  firstSeconds: Quantiles;
  /** Milliseconds between the tokens of a request. */
  tokenMs: Quantiles;
  /** Seconds up to the last token. */
  lastSeconds: Quantiles;
  /** Sequences that a step has tokens of, on average. */
  running: number;
  /** Sequences that were set back, of all that began. */
  setBacks: number;
}

/** A fleet of one variant of the model. */
export interface FleetVariant {
  variant: CacheVariant;
  label: string;
  isOwn: boolean;
  dtype: KvDtype;
  /** Tokens that a GPU beside the weights has pages for. */
  cacheTokens: number;
  /** GPUs beside the one with the weights that the longest request's cache is divided over; 0 where that one holds it. */
  shards: number;
  /** The same for one sequence of each context of the plan. */
  contexts: { contextLen: number; shards: number }[];
  /**
   * Requests a second that a replica keeps up with within the target, alone and as one of several behind a gateway; 0 where not
   * even a request alone is in time.
   */
  rates: { alone: number; shared: number };
  /** Milliseconds of a request beyond its steps. */
  overheadMs: number;
  /** Replicas, and their GPUs; null where none are in time. */
  replicas: number | null;
  gpus: number | null;
  /** The fleet at that rate; null where none is in time. */
  simulated: SimulatedFleet | null;
  /** GPUs by requests a second. */
  needs: { rate: number; gpus: number | null }[];
  /** Bytes between machines for a generated token: through the gateway, and to and from a shard. */
  wireBytes: { gateway: number; shard: number };
  /** Tokens from which two shards decode faster than one GPU that holds them all. */
  shardsFrom: number;
  /** Price of a million generated tokens; null where there is none. */
  pricePerMillion: number | null;
}

/** Fleets of all variants. */
export interface FleetPlan {
  demand: FleetDemand;
  variants: FleetVariant[];
}
