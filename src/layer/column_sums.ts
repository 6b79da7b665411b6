/** Sums over the rows of a matrix: the gradients of what every row shares. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import { Owned } from "../gpu/owned.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { Tensor } from "../tensor/tensor.ts";
import { chunksOf } from "./chunks.ts";
import { putPiece } from "./put.ts";

const WORKGROUP = { software: 8, gpu: 64 };

/** The module that sums over columns. */
export function columnSumsModule(
  { width, to, workgroup }: { width: number; to: "y" | "sum"; workgroup: number },
): WgslModule {
  return join("column sums", putPiece(to, width), {
    constants: { WIDTH: width, WORKGROUP: workgroup },
    fragments: [wgsl.columnSums],
  });
}

/** Sums over the rows of [rows, width], which are added to `y` [width] in an order that is the same in every run. */
export class ColumnSums {
  readonly #gpu: Gpu;
  readonly #width: number;
  readonly #profile: DeviceProfile;
  readonly #owned = new Owned();
  readonly #params = this.#owned.keep(new KeptBuffers());

  constructor(
    gpu: Gpu,
    width: number,
    { profile = gpu.profile }: { profile?: DeviceProfile } = {},
  ) {
    this.#gpu = gpu;
    this.#width = width;
    this.#profile = profile;
  }

  /** Binds `rows` rows of `x` to the sum of them and `y`. */
  async bind({ x, y }: Record<"x" | "y", GPUBuffer>, rows: number): Promise<BoundWork> {
    const workgroup = this.#profile.isSoftware ? WORKGROUP.software : WORKGROUP.gpu;
    const blocks = Math.ceil(this.#width / workgroup);
    const { count, size } = chunksOf(this.#profile, rows, blocks);
    const run = async (
      buffers: Record<"x" | "y", GPUBuffer>,
      to: "y" | "sum",
      { rows, count, size }: { rows: number; count: number; size: number },
    ) => {
      const module = columnSumsModule({ width: this.#width, to, workgroup });
      const kernel = await Kernel.compile(this.#gpu, module);
      const params = this.#params.get(
        `${rows} rows by ${size}`,
        () => kernel.uniform({ rows, chunk: size }),
      );
      return kernel.bind({ ...buffers, params }, [blocks, count]);
    };
    if (count === 1) return boundWork([await run({ x, y }, "sum", { rows, count, size })]);
    const parts = this.#owned.keep(
      await Tensor.empty(this.#gpu, [count, this.#width], { label: "parts of column sums" }),
    ).buffer;
    return boundWork([
      await run({ x, y: parts }, "y", { rows, count, size }),
      await run({ x: parts, y }, "sum", { rows: count, count: 1, size: count }),
    ]);
  }

  destroy(): void {
    this.#owned.destroy();
  }
}
