/** The systems that run models, ours first. */
import { onehead } from "./onehead.ts";
import { onnxRuntimeCpu } from "./onnx_runtime_cpu.ts";
import type { ModelSystem } from "./system.ts";

export const SYSTEMS: readonly ModelSystem[] = [onehead, onnxRuntimeCpu];
