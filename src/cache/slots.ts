/** The slots of keys and values: the piece of a kernel that finds the row of a column. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import type { PageLayout } from "./cache_spec.ts";

/** Finds the rows of a ring, of contiguous tokens, or of pages. */
export function slotsPiece(spec: { capacity: number; pages?: PageLayout }): WgslPiece {
  const { pages } = spec;
  if (!pages) return { fragments: [wgsl.slots.ring] };
  return { constants: pageConstants(spec.capacity, pages), fragments: [wgsl.slots.pages] };
}

/** The constants of kernels that look pages up. */
export function pageConstants(capacity: number, pages: PageLayout): Record<string, number> {
  return { PAGE_SIZE: pages.size, SEQUENCE_PAGES: sequencePages(capacity, pages) };
}

/** Pages of the longest sequence. */
export function sequencePages(capacity: number, { size }: PageLayout): number {
  return Math.ceil(capacity / size);
}
