/** The storage buffers that kernels bind, of which devices bind few at once. */
import { sentence } from "../base/check.ts";
import { isTransformed } from "../cache/kv_transform.ts";
import type { PlanLimits } from "../gpu/limits.ts";
import { modTensorsOf } from "../score/score_mod.ts";
import { ACTION, type FilledSpec } from "./spec.ts";

/** What every WebGPU device binds. */
const GUARANTEED = 8;

/** The most storage buffers that a device binds for a kernel. */
export function mostStorageBuffers({ maxStorageBuffersPerShaderStage }: PlanLimits): number {
  return maxStorageBuffersPerShaderStage ?? GUARANTEED;
}

/** Storage buffers of the fused kernel, which writes two of states where slices are merged or leave a transform. */
export function fusedStorageBuffers(spec: FilledSpec, slices: number): number {
  const values = spec.valuesAre === "keys" ? 0 : 1;
  const outputs = 1 + Number(spec.outputs.includes("lse"));
  return ofScores(spec) + values + (slices > 1 || isTransformed(spec) ? 2 : outputs);
}

/** Storage buffers of the staged kernel that binds the most. */
export function stagedStorageBuffers(spec: FilledSpec): number {
  const { pages, blockMask } = spec;
  const weightedSum = 4 + Number(pages !== undefined) + Number(blockMask);
  return Math.max(ofScores(spec) + 1, weightedSum);
}

/** Throws where a kernel binds more than the device. */
export function checkStorageBuffers(storageBuffers: number, limits: PlanLimits): void {
  const most = mostStorageBuffers(limits);
  if (storageBuffers <= most) return;
  const rule = "a device must bind all buffers of a kernel at once (ask for fewer of bias, mask, " +
    "blockMask, outputs and tensors of scoreMod and maskMod)";
  const values = { storageBuffers, maxStorageBuffersPerShaderStage: most };
  throw new RangeError(sentence(ACTION, rule, values));
}

/** What a kernel reads that computes scores. */
function ofScores(spec: FilledSpec): number {
  const { pages, bias, mask, blockMask } = spec;
  const asked = [pages, bias, mask, blockMask || undefined].filter((x) => x !== undefined);
  const [lengths, q, k] = [1, 1, 1];
  return lengths + q + k + asked.length + Object.keys(modTensorsOf(spec)).length;
}
