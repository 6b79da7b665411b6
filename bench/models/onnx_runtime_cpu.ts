/** ONNX Runtime's native CPU provider: what the same machine can do without a GPU. */
import { elementCount } from "../../src/tensor/dtype.ts";
import { encodeModel } from "../peers/onnx_model.ts";
import {
  CPU_SESSION,
  loadOnnxRuntimeNode,
  onnxRuntimeCpu as peer,
} from "../peers/onnx_runtime_cpu.ts";
import { onnxDecoder } from "./onnx_decoder.ts";
import { onnxModel } from "./onnx_session.ts";
import type { ModelSystem } from "./system.ts";

export const onnxRuntimeCpu: ModelSystem = {
  name: peer.name,
  npm: peer.npm,
  async load() {
    const ort = await loadOnnxRuntimeNode();
    const tensors = {
      integers: (data: Int32Array | BigInt64Array, shape: readonly number[]) =>
        new ort.Tensor(data, shape),
      cache: (shape: readonly number[]) =>
        new ort.Tensor("float32", new Float32Array(elementCount(shape)), shape),
    };
    return async (source, sequences) => {
      const bytes = encodeModel(await onnxDecoder(source, sequences.maxTokens));
      const session = await ort.InferenceSession.create(bytes, CPU_SESSION);
      return onnxModel(session, source.spec, tensors, sequences);
    };
  },
};
