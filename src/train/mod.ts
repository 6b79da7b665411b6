/**
 * Training on the GPU: losses, AdamW, and the trainer of a decoder.
 *
 * @module
 */
export * from "./batches.ts";
export * from "./diverged_error.ts";
export type { AdamWOptions } from "./optimizer.ts";
export type { RateSchedule } from "./schedule.ts";
export * from "./trainer.ts";
