/** All that the page uses of the library, in one bundle: what one entry makes, another one takes. */
export * from "@onehead/attention";
export * from "@onehead/attention/checkpoints";
export * from "@onehead/attention/decoder";
