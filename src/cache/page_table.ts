/** The page tables and the lengths of sequences on the device, which change in the order of encoded work. */
import * as wgsl from "../../kernels/mod.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { Owned } from "../gpu/owned.ts";
import { USAGE } from "../gpu/usage.ts";
import { checkBytes } from "../tensor/tensor.ts";
import { counterBuffer } from "./kv_memory.ts";

const WORKGROUP = 64;

/** The module that moves lengths. */
export function advanceModule(): WgslModule {
  return join("advance", { constants: { WORKGROUP }, fragments: [wgsl.advance] });
}

/** Sizes of a table. */
export interface TableShape {
  /** Sequences. */
  batch: number;
  /** Pages of the longest sequence. */
  sequencePages: number;
  /** Numbers that entries and lengths may become: all below. */
  numbers: number;
}

/** Bytes of tables, lengths, new tokens and numbers. */
export function tableBytes({ batch, sequencePages, numbers }: TableShape): number {
  return 4 * (batch * sequencePages + batch + 2 * batch + 1 + numbers);
}

/** Page tables, lengths, and where new tokens lie. */
export class PageTable {
  /** The page of each page's worth of tokens [B, sequencePages], u32. */
  readonly pages: GPUBuffer;
  /** Tokens of each sequence [B], u32. */
  readonly lengths: GPUBuffer;
  /**
   * New tokens laid end to end [B + 1 + B], u32: the row at which those of each sequence begin, the end of all, and the
   * position of the first of each sequence.
   */
  readonly newTokens: GPUBuffer;
  /** Number i at place i: copies of it set entries without a buffer made for them. */
  readonly #numbers: GPUBuffer;
  readonly #kernel: Kernel;
  readonly #queue: GPUQueue;
  readonly #shape: TableShape;

  private constructor(
    gpu: Gpu,
    kernel: Kernel,
    shape: TableShape,
    made: Record<"pages" | "lengths" | "newTokens" | "numbers", GPUBuffer>,
  ) {
    this.#queue = gpu.device.queue;
    this.#kernel = kernel;
    this.#shape = shape;
    this.pages = made.pages;
    this.lengths = made.lengths;
    this.newTokens = made.newTokens;
    this.#numbers = made.numbers;
  }

  /** Allocates the tables of empty sequences; `owned` keeps them. */
  static async create(gpu: Gpu, owned: Owned, shape: TableShape): Promise<PageTable> {
    const { batch, sequencePages, numbers } = shape;
    checkBytes(gpu, "allocate page tables", 4 * Math.max(batch * sequencePages, numbers));
    const kernel = await Kernel.compile(gpu, advanceModule());
    const made = await gpu.guard("allocate page tables", () => {
      const iota = owned.keep(gpu.device.createBuffer({
        ...{ label: "numbers", size: 4 * numbers, usage: USAGE.copySrc, mappedAtCreation: true },
      }));
      new Uint32Array(iota.getMappedRange()).forEach((_, i, all) => all[i] = i);
      iota.unmap();
      return {
        numbers: iota,
        pages: owned.keep(counterBuffer(gpu, "page tables", batch * sequencePages)),
        lengths: owned.keep(counterBuffer(gpu, "sequence lengths", batch)),
        newTokens: owned.keep(counterBuffer(gpu, "new tokens", 2 * batch + 1)),
      };
    });
    return new PageTable(gpu, kernel, shape, made);
  }

  /** Writes the pages and lengths of all sequences, after all work submitted so far. */
  fill(sequences: readonly { length: number; pages: readonly (number | undefined)[] }[]): void {
    const { batch, sequencePages } = this.#shape;
    const entries = new Uint32Array(batch * sequencePages);
    sequences.forEach(({ pages }, b) =>
      pages.forEach((page, place) => entries[b * sequencePages + place] = page ?? 0)
    );
    this.#queue.writeBuffer(this.pages, 0, entries);
    this.#queue.writeBuffer(this.lengths, 0, Uint32Array.from(sequences, ({ length }) => length));
  }

  /** Encodes the page of a place in a sequence. */
  setPage(encoder: GPUCommandEncoder, sequence: number, place: number, page: number): void {
    const offset = 4 * (sequence * this.#shape.sequencePages + place);
    encoder.copyBufferToBuffer(this.#numbers, 4 * page, this.pages, offset, 4);
  }

  /** Encodes the length of a sequence. */
  setLength(encoder: GPUCommandEncoder, sequence: number, length: number): void {
    encoder.copyBufferToBuffer(this.#numbers, 4 * length, this.lengths, 4 * sequence, 4);
  }

  /** Encodes the growth of each sequence by its new tokens, which begin at these rows where they lie end to end. */
  advance(encoder: GPUCommandEncoder, starts: readonly number[]): void {
    // Numbers that follow each other lie so among the numbers: those of sequences that grow by a token each are one copy.
    for (let first = 0, end = 1; first < starts.length; first = end++) {
      while (end < starts.length && starts[end] === starts[end - 1] + 1) end++;
      const size = 4 * (end - first);
      encoder.copyBufferToBuffer(
        this.#numbers,
        4 * starts[first],
        this.newTokens,
        4 * first,
        size,
      );
    }
    const { lengths, newTokens } = this;
    const pass = encoder.beginComputePass();
    const { batch } = this.#shape;
    this.#kernel.bind({ lengths, newTokens }, [Math.ceil(batch / WORKGROUP), 1]).encode(pass);
    pass.end();
  }
}
