/** What runs inside a runtime: opens its GPU, computes the cases, and reports line by line. */
import { type Arithmetic, type Dtype, Gpu, GpuUnavailableError } from "@onehead/attention";
import { Random } from "../support/random.ts";
import { CASES } from "./cases.ts";
import { attentionError } from "./attention.ts";
import { decoderError, DECODERS } from "./decoder.ts";
import { layerError, LAYERS } from "./layer.ts";
import { UNSEEN, unseenError } from "./unseen.ts";

/** What a runtime says: of its GPU first, or that it has none; then of each case; and that it is through. */
export type Report =
  | { kind: "unavailable"; why: string }
  | { kind: "gpu"; adapter: string; subgroups: boolean; enableSubgroups: boolean; f16: boolean }
  | { kind: "case"; name: string; error: number | null; tolerance: number }
  | { kind: "skipped"; name: string; why: string }
  | { kind: "failed"; name: string; why: string }
  | { kind: "end" };

/** Largest absolute difference, for inputs in [-1, 1]: sums are in f32 whatever the storage; outputs of f16 are not. */
const TOLERANCE = { f32: 2e-5, f16: 1e-3 };
/** On matrix units queries, keys, weights and values are rounded to f16: below the bound of the docs, above what is seen. */
const ON_MATRIX_UNITS = 1e-3;

/** Computes something, and returns how far it is off. */
export type Check = (gpu: Gpu, random: Random) => Promise<number>;

/** What every runtime must compute. */
export const CHECKS: readonly {
  name: string;
  dtype?: Dtype;
  arithmetic?: Arithmetic;
  check: Check;
}[] = [
  ...CASES.map((asked) => ({
    ...asked,
    check: (gpu: Gpu, random: Random) => attentionError(gpu, asked, random),
  })),
  ...UNSEEN.map((asked) => ({
    ...asked,
    check: (gpu: Gpu, random: Random) => unseenError(gpu, asked, random),
  })),
  ...LAYERS.map((asked) => ({
    name: asked.name,
    check: (gpu: Gpu, random: Random) => layerError(gpu, asked, random),
  })),
  ...DECODERS.map((asked) => ({
    name: asked.name,
    check: (gpu: Gpu, random: Random) => decoderError(gpu, asked, random),
  })),
];

/** Runs everything, on a GPU object of the runtime's own or on that of `navigator`. */
export async function main(
  seed: number,
  report: (report: Report) => void,
  source?: GPU,
): Promise<void> {
  let gpu: Gpu;
  try {
    gpu = await Gpu.open({ gpu: source });
  } catch (error) {
    if (!(error instanceof GpuUnavailableError)) throw error;
    return report({ kind: "unavailable", why: error.message });
  }
  const { description, features: { subgroups, f16, matrixUnits }, dialect: { enableSubgroups } } =
    gpu;
  const adapter = description.description;
  report({ kind: "gpu", adapter, subgroups, enableSubgroups, f16 });
  const random = new Random(seed);
  for (const { name, dtype = "f32", arithmetic, check } of CHECKS) {
    if (dtype === "f16" && !f16) {
      report({ kind: "skipped", name, why: "the adapter has no f16" });
      continue;
    }
    const isOnMatrixUnits = arithmetic === "matrix";
    if (isOnMatrixUnits && !matrixUnits) {
      report({ kind: "skipped", name, why: "the device grants no matrix units" });
      continue;
    }
    try {
      const error = await check(gpu, random);
      await gpu.settled();
      // JSON has no NaN.
      const shown = Number.isFinite(error) ? error : null;
      report({
        kind: "case",
        name,
        error: shown,
        tolerance: isOnMatrixUnits ? ON_MATRIX_UNITS : TOLERANCE[dtype],
      });
    } catch (error) {
      report({ kind: "failed", name, why: String(error) });
    }
  }
  gpu.destroy();
  report({ kind: "end" });
}
