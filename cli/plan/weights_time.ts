import { type KvDtype, type RooflineTime, rooflineTime } from "../../mod.ts";
import { type Model, touchedParameters } from "../shared/preset.ts";
import { attentionRates, type Device } from "./device.ts";

/** Bits of a weight by its element type. */
export const WEIGHT_BITS: Readonly<Record<KvDtype, number>> = {
  f32: 32,
  f16: 16,
  int8: 8,
  int4: 4,
};

/**
 * The time of everything in a step but attention: each weight is read once for all its tokens, where some token needs it, and
 * multiplied once with each that does.
 */
export function weightsTime(
  model: Model,
  device: Device,
  { tokens, weightBits }: { tokens: number; weightBits: number },
): RooflineTime {
  return rooflineTime(
    {
      bytes: touchedParameters(model, tokens) * weightBits / 8,
      flops: 2 * touchedParameters(model, 1) * tokens,
    },
    { ...attentionRates(device), flopsPerSecond: device.f16FlopsPerSecond },
  );
}
