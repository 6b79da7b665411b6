/** Matrices of weights on the device. */
import { sliceOf } from "../base/numbers.ts";
import type { Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type HostTensor, mostBytes, Tensor } from "../tensor/tensor.ts";
import { type KvDtype, rowBytes } from "../tensor/dtype.ts";

/** A band of rows of a matrix, which one storage binding holds. */
export interface RowBand {
  /** [rows, in] */
  w: Tensor;
  /** The first of them, of all rows. */
  firstRow: number;
}

/** Options of {@linkcode WeightMatrix.upload}. */
export interface MatrixOptions {
  dtype: KvDtype;
  label: string;
  /** Bytes of the largest band. The default is what the device binds. */
  mostBytes?: number;
}

/** A matrix [out, in], cut into bands of rows where one storage binding of the device cannot hold it. */
export class WeightMatrix {
  /** [out, in] */
  readonly shape: readonly [number, number];
  readonly dtype: KvDtype;
  readonly bands: readonly RowBand[];

  private constructor(
    shape: readonly [number, number],
    dtype: KvDtype,
    bands: readonly RowBand[],
  ) {
    this.shape = shape;
    this.dtype = dtype;
    this.bands = bands;
  }

  static async upload(
    gpu: Gpu,
    { data, shape }: HostTensor,
    { dtype, label, mostBytes: most = mostBytes(gpu) }: MatrixOptions,
  ): Promise<WeightMatrix> {
    const [rows, columns] = shape;
    // Pairs of rows stay together: those of a gate and of what it is multiplied with.
    const step = Math.max(2, Math.floor(most / rowBytes(columns, dtype) / 2) * 2);
    return await Owned.make(async (owned) => {
      const bands: RowBand[] = [];
      for (let firstRow = 0; firstRow < rows; firstRow += step) {
        const end = Math.min(firstRow + step, rows);
        const band = {
          data: end - firstRow === rows ? data : sliceOf(data, firstRow * columns, end * columns),
          shape: [end - firstRow, columns],
        };
        bands.push({ w: owned.keep(await Tensor.upload(gpu, band, { dtype, label })), firstRow });
      }
      return new WeightMatrix([rows, columns], dtype, bands);
    });
  }

  /** Bytes on the device. */
  get bytes(): number {
    return this.bands.reduce((sum, { w }) => sum + w.bytes, 0);
  }

  destroy(): void {
    for (const { w } of this.bands) w.destroy();
  }
}
