/** The slots of keys and values: the piece of a kernel that finds the row of a column. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import type { PageLayout } from "./cache_spec.ts";

/** Finds the rows of a ring, of contiguous tokens, or of pages. */
export function slotsPiece(spec: { capacity: number; pages?: PageLayout }): WgslPiece {
  const { pages } = spec;
  if (!pages) return { fragments: [wgsl.slots.ring] };
  const { constants, fragments } = pageRowsPiece(spec.capacity, pages);
  return { constants, fragments: [...fragments, wgsl.slots.pages] };
}

/** Finds the rows of tokens in pages. */
export function pageRowsPiece(
  capacity: number,
  pages: PageLayout,
): Required<Omit<WgslPiece, "types">> {
  const constants = { PAGE_SIZE: pages.size, SEQUENCE_PAGES: sequencePages(capacity, pages) };
  return { constants, fragments: [wgsl.pageRows] };
}

/** Pages of the longest sequence. */
export function sequencePages(capacity: number, { size }: PageLayout): number {
  return Math.ceil(capacity / size);
}
