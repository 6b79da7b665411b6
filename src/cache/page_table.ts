/** The page tables and the lengths of sequences on the device, which change in the order of encoded work. */
import * as wgsl from "../../kernels/mod.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { Owned } from "../gpu/owned.ts";
import { USAGE } from "../gpu/usage.ts";
import { countVectors } from "./append.ts";
import { checkBytes } from "../tensor/tensor.ts";
import { counterBuffer } from "./kv_memory.ts";

const WORKGROUP = 64;

/** The module that moves lengths. */
export function advanceModule(batch: number): WgslModule {
  return join("advance", {
    constants: { COUNT_VECTORS: countVectors(batch), WORKGROUP },
    fragments: [wgsl.advance],
  });
}

/** Sizes of a table. */
interface TableShape {
  /** Sequences. */
  batch: number;
  /** Pages of the longest sequence. */
  sequencePages: number;
  /** Numbers that entries and lengths may become: all below. */
  numbers: number;
}

/** Page tables, lengths, and the counts of new tokens. */
export class PageTable {
  /** The page of each page's worth of tokens [B, sequencePages], u32. */
  readonly pages: GPUBuffer;
  /** Tokens of each sequence [B], u32. */
  readonly lengths: GPUBuffer;
  /** New tokens of each sequence [B], u32. */
  readonly counts: GPUBuffer;
  /** Number i at place i: copies of it set entries without a buffer made for them. */
  readonly #numbers: GPUBuffer;
  readonly #kernel: Kernel;
  readonly #params: KeptBuffers;
  readonly #shape: TableShape;

  private constructor(
    kernel: Kernel,
    params: KeptBuffers,
    shape: TableShape,
    made: Record<"pages" | "lengths" | "counts" | "numbers", GPUBuffer>,
  ) {
    this.#kernel = kernel;
    this.#params = params;
    this.#shape = shape;
    this.pages = made.pages;
    this.lengths = made.lengths;
    this.counts = made.counts;
    this.#numbers = made.numbers;
  }

  /** Allocates the tables of empty sequences; `owned` keeps them. */
  static async create(gpu: Gpu, owned: Owned, shape: TableShape): Promise<PageTable> {
    const { batch, sequencePages, numbers } = shape;
    checkBytes(gpu, "allocate page tables", 4 * Math.max(batch * sequencePages, numbers));
    const kernel = await Kernel.compile(gpu, advanceModule(batch));
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
        counts: owned.keep(counterBuffer(gpu, "new tokens", batch)),
      };
    });
    return new PageTable(kernel, owned.keep(new KeptBuffers()), shape, made);
  }

  /** Bytes of all of it. */
  get bytes(): number {
    const { pages, lengths, counts } = this;
    return pages.size + lengths.size + counts.size + this.#numbers.size;
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

  /** Encodes the growth of each sequence by its count of new tokens. */
  advance(encoder: GPUCommandEncoder, counts: readonly number[]): void {
    const { batch } = this.#shape;
    const vectors = [...counts, ...new Array(-batch & 3).fill(0)];
    const params = this.#params.get(
      `${counts}`,
      () => this.#kernel.uniform({ batch, counts: vectors }),
    );
    const { lengths, counts: newTokens } = this;
    const pass = encoder.beginComputePass();
    this.#kernel.bind({ params, lengths, counts: newTokens }, [Math.ceil(batch / WORKGROUP), 1])
      .encode(pass);
    pass.end();
  }
}
