/** The systems that run models, ours first. */
import { onehead } from "./onehead.ts";
import { onnxRuntimeCpu } from "./onnx_runtime_cpu.ts";
import { onnxRuntimeWebGpu } from "./onnx_runtime_webgpu.ts";
import type { ModelSystem } from "./system.ts";
import { wllama } from "./wllama.ts";

export const SYSTEMS: readonly ModelSystem[] = [onehead, onnxRuntimeWebGpu, onnxRuntimeCpu, wllama];
