/** Position arithmetic of the ring, apart from any GPU. */
import { checkChoice, checkInteger, sentence } from "./_check.ts";
import type { FilledSpec } from "./spec.ts";

/** What happens to the oldest tokens when a ring is full. */
export type Overflow = "wrap" | "error";

/** The part of a cache that decides what it keeps. */
export interface RingRules {
  /** Slots per sequence. */
  capacity: number;
  /** First tokens of a sequence that are never overwritten and stay visible. */
  sinks: number;
  /** Tokens besides them that stay visible to a query, its own included. */
  window: number;
  /** Whether an append may overwrite tokens that have left the window. */
  overflow: Overflow;
}

/** Fills in and checks the rules of a ring. */
export function ringRules(
  action: string,
  options: Partial<RingRules> & { capacity: number; maxSeqLen?: number },
): RingRules {
  const { capacity, sinks = 0, maxSeqLen = 1 } = options;
  checkInteger(action, "capacity", capacity);
  checkInteger(action, "sinks", sinks, 0);
  checkInteger(action, "maxSeqLen", maxSeqLen);
  const { window = capacity - sinks - maxSeqLen + 1 } = options;
  const { overflow = options.window === undefined ? "error" : "wrap" } = options;
  checkChoice(action, "overflow", overflow, ["wrap", "error"]);
  const values = { capacity, sinks, window, maxSeqLen };
  if (sinks + maxSeqLen > capacity) {
    throw new RangeError(sentence(action, "sinks + maxSeqLen must be at most capacity", values));
  }
  checkInteger(action, "window", window);
  // Of the maxSeqLen tokens that are appended before any of them attends, the first still needs its whole window.
  if (capacity < sinks + window + maxSeqLen - 1) {
    throw new RangeError(
      sentence(action, "capacity must be >= sinks + window + maxSeqLen - 1", values),
    );
  }
  return { capacity, sinks, window, overflow };
}

/** Throws unless `seqLen` more tokens leave every query that is still to come its whole window. */
export function checkAppend(rules: RingRules, length: number, seqLen: number): void {
  const { capacity, sinks, window, overflow } = rules;
  if (length + seqLen <= capacity) return;
  const action = "append to RingKvCache";
  if (overflow === "error") {
    throw new RangeError(
      sentence(action, 'tokens would be lost (raise capacity, clear, or choose overflow "wrap")', {
        length,
        seqLen,
        capacity,
      }),
    );
  }
  if (seqLen > capacity - sinks - window + 1) {
    throw new RangeError(
      sentence(
        action,
        "tokens that are still in the window would be overwritten (append at most capacity - sinks - window + 1 at once)",
        { length, seqLen, capacity, sinks, window },
      ),
    );
  }
}

/** Throws if queries would see tokens that were overwritten. */
export function checkKept(
  { length, capacity }: { length: number; capacity: number },
  { sinks, window, seqLen, alignment = "bottom-right" }:
    & Pick<FilledSpec, "sinks" | "window" | "seqLen">
    & Partial<Pick<FilledSpec, "alignment">>,
): void {
  if (length > capacity && alignment !== "bottom-right") {
    throw new RangeError(
      sentence(
        "attend to RingKvCache",
        'tokens that a query would see were overwritten (choose alignment "bottom-right")',
        { alignment, capacity, length },
      ),
    );
  }
  if (length > capacity && sinks + (window ?? Infinity) + seqLen - 1 > capacity) {
    throw new RangeError(
      sentence(
        "attend to RingKvCache",
        "tokens that a query would see were overwritten (keep sinks + window + seqLen - 1 within capacity)",
        { sinks, window, seqLen, capacity, length },
      ),
    );
  }
}

/** Tokens that are still there after `length` were appended. */
export function storedTokens(length: number, capacity: number): number {
  return Math.min(length, capacity);
}
