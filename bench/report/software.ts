import type { AdapterInfo } from "../result.ts";

/** What is to be known of figures of a software adapter, in one sentence; nothing of those of others. */
export function softwareNotes({ isSoftware }: Pick<AdapterInfo, "isSoftware">): string[] {
  return isSoftware
    ? ["This adapter is software: a CPU did the work, and a GPU may rank otherwise"]
    : [];
}
