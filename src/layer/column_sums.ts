/** Sums over the rows of a matrix: the gradients of what every row shares. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { Tensor } from "../tensor/tensor.ts";
import { chunksOf } from "./chunks.ts";
import { putPiece } from "./put.ts";

const WORKGROUP = { software: 8, gpu: 64 };

/** The terms of a sum: elements of `x`, or what multiplied the gain of a norm. */
export type ColumnTerm = "plain" | "normed";

/** The module that sums over columns. */
export function columnSumsModule(
  { width, term, to, workgroup }: {
    width: number;
    term: ColumnTerm;
    to: "y" | "sum";
    workgroup: number;
  },
): WgslModule {
  return join("column sums", putPiece(to, width), {
    constants: { WIDTH: width, WORKGROUP: workgroup },
    fragments: [wgsl.columnTerm[term], wgsl.columnSums],
  });
}

/** Sums over the rows of [rows, width], which are added to `y` [width] in an order that is the same in every run. */
export class ColumnSums {
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #term: ColumnTerm;
  readonly #profile: DeviceProfile;
  readonly #owned = new Owned();
  readonly #params = this.#owned.keep(new KeptBuffers());

  constructor(
    gpu: Gpu,
    width: number,
    { term = "plain", profile = gpu.profile }: { term?: ColumnTerm; profile?: DeviceProfile } = {},
  ) {
    this.#gpu = gpu;
    this.#width = width;
    this.#term = term;
    this.#profile = profile;
  }

  /** Binds `rows` rows: `x` and, of a norm, `dy` and `moments`, to the sum of them and `y`. */
  async bind(buffers: Buffers, rows: number): Promise<BoundWork> {
    const workgroup = this.#profile.isSoftware ? WORKGROUP.software : WORKGROUP.gpu;
    const blocks = Math.ceil(this.#width / workgroup);
    const { count, size } = chunksOf(this.#profile, rows, blocks);
    const run = async (
      { from, to, term }: { from: Buffers; to: "y" | "sum"; term: ColumnTerm },
      rows: number,
      { count, size }: { count: number; size: number },
    ) => {
      const module = columnSumsModule({ width: this.#width, term, to, workgroup });
      const kernel = await Kernel.compile(this.#gpu, module);
      const params = this.#params.get(
        `${rows} rows by ${size}`,
        () => kernel.uniform({ rows, chunk: size }),
      );
      return kernel.bind({ ...from, params }, [blocks, count]);
    };
    const term = this.#term;
    if (count === 1) {
      return boundWork([await run({ from: buffers, to: "sum", term }, rows, { count, size })]);
    }
    const parts = this.#owned.keep(
      await Tensor.empty(this.#gpu, [count, this.#width], { label: "parts of column sums" }),
    );
    return boundWork([
      await run({ from: { ...buffers, y: parts.buffer }, to: "y", term }, rows, { count, size }),
      await run(
        { from: { x: parts.buffer, y: buffers.y }, to: "sum", term: "plain" },
        count,
        { count: 1, size: count },
      ),
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
