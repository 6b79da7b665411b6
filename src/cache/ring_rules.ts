/** Position arithmetic of the ring, apart from any GPU. */
import { checkChoice, checkInteger, sentence } from "../base/check.ts";
import type { ViewingQueries } from "./kv_view.ts";

/** The behaviour of a full ring towards its oldest tokens. */
export type Overflow = "wrap" | "error";

/** The fields of a cache that decide the tokens that it keeps. */
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

/** The tokens of one sequence that a ring has: its sinks, and positions from `oldest` up to, but not including, `length`. */
export interface KeptTokens {
  /** Position of the oldest token besides the sinks that was not overwritten; 0 while none was. */
  oldest: number;
  /** Tokens ever appended, less those that were rolled back. */
  length: number;
}

/** The longest sequence: kernels add positions in 32 bits with a sign. */
const MOST_TOKENS = 2 ** 31 - 1;

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
  if (length + seqLen > MOST_TOKENS) {
    throw new RangeError(
      sentence(action, "a sequence must stay below 2^31 tokens (clear it)", { length, seqLen }),
    );
  }
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

/** The tokens that are kept after `seqLen` more; throws where the rules keep some that would be lost. */
export function appended(rules: RingRules, kept: KeptTokens, seqLen: number): KeptTokens {
  checkAppend(rules, kept.length, seqLen);
  const length = kept.length + seqLen;
  return { oldest: Math.max(kept.oldest, leastOldest(rules, length)), length };
}

/** The oldest token of a sequence that was never rolled back. */
function leastOldest({ capacity, sinks }: RingRules, length: number): number {
  return length > capacity ? length - (capacity - sinks) : 0;
}

/**
 * Throws unless tokens are what a ring can keep by its rules, such as those that a file claims: a `TypeError` for what is no
 * number, and a `RangeError` for a length or an oldest token that no append and no rollback leads to.
 */
export function checkReachable(
  action: string,
  rules: RingRules,
  { oldest, length }: KeptTokens,
): void {
  checkInteger(action, "length", length, 0);
  checkInteger(action, "oldest", oldest, 0);
  const { capacity, sinks, window, overflow } = rules;
  const values = { length, oldest, capacity, sinks, window, overflow };
  const isLong = length > (overflow === "error" ? capacity : MOST_TOKENS);
  if (isLong) throw new RangeError(sentence(action, "the ring must hold the length", values));
  // The tokens that are not overwritten are at least those that the next one sees, and at most those that fit.
  const least = leastOldest(rules, length);
  const isOverwritten = oldest > sinks && oldest <= length + 1 - window;
  if (oldest < least || (oldest > 0 && !isOverwritten) || (oldest > 0 && overflow === "error")) {
    throw new RangeError(
      sentence(action, "the oldest token must be one that the ring can have", values),
    );
  }
}

/** The tokens that are kept after rolling back to `length`; throws where the next one would miss some of its window. */
export function truncated(
  action: string,
  rules: RingRules,
  kept: KeptTokens,
  length: number,
): KeptTokens {
  checkInteger(action, "length", length, 0);
  const { oldest } = kept;
  if (length > kept.length) {
    throw new RangeError(
      sentence(action, "length must be at most the current one", {
        length,
        currentLength: kept.length,
      }),
    );
  }
  const { window, sinks } = rules;
  // Sinks are never overwritten: nothing else is left, so that the ring is as before it wrapped.
  if (length <= sinks) return { oldest: 0, length };
  const overwritten = oldest - Math.max(sinks, length + 1 - window);
  if (overwritten > 0) {
    throw new RangeError(
      sentence(
        action,
        "tokens that the next one sees were overwritten (truncate to at least oldest + window - 1, or clear)",
        { length, overwritten, oldest, window },
      ),
    );
  }
  return { oldest, length };
}

/** Throws if queries would see tokens that were overwritten. */
export function checkKept(
  action: string,
  { length, oldest }: KeptTokens,
  { sinks, window, seqLen, alignment = "bottom-right" }: ViewingQueries,
): void {
  if (oldest > 0 && alignment !== "bottom-right") {
    throw new RangeError(
      sentence(
        action,
        'tokens that a query would see were overwritten (choose alignment "bottom-right")',
        { alignment, length, oldest },
      ),
    );
  }
  const firstSeen = Math.max(sinks, length - seqLen + 1 - (window ?? Infinity));
  if (firstSeen < oldest) {
    throw new RangeError(
      sentence(
        action,
        "tokens that a query would see were overwritten (keep window + seqLen - 1 within the tokens that are kept)",
        { sinks, window, seqLen, length, oldest },
      ),
    );
  }
}

/** Tokens that are still there after `length` were appended. */
export function storedTokens(length: number, capacity: number): number {
  return Math.min(length, capacity);
}
