/** ONNX Runtime Web's WebGPU provider: caches stay in GPU buffers. */
import { USAGE } from "../../src/gpu/usage.ts";
import { elementCount } from "../../src/tensor/dtype.ts";
import { encodeModel } from "../peers/onnx_model.ts";
import {
  loadOnnxRuntimeWeb,
  onnxRuntimeWebGpu as peer,
  WEBGPU_SESSION,
} from "../peers/onnx_runtime_webgpu.ts";
import { onnxDecoder } from "./onnx_decoder.ts";
import { onnxModel } from "./onnx_session.ts";
import type { ModelSystem } from "./system.ts";

export const onnxRuntimeWebGpu: ModelSystem = {
  name: peer.name,
  npm: peer.npm,
  async load() {
    const ort = await loadOnnxRuntimeWeb();
    return async (source, sequences) => {
      const bytes = encodeModel(await onnxDecoder(source, sequences.maxTokens));
      const session = await ort.InferenceSession.create(bytes, WEBGPU_SESSION);
      const device: GPUDevice = await ort.env.webgpu.device;
      const integers = (data: Int32Array | BigInt64Array, shape: readonly number[]) =>
        new ort.Tensor(data, shape);
      const cache = (dims: readonly number[]) => {
        const size = Float32Array.BYTES_PER_ELEMENT * elementCount(dims);
        const usage = USAGE.storage | USAGE.copySrc | USAGE.copyDst;
        const buffer = device.createBuffer({ size: Math.ceil(size / 16) * 16, usage });
        return ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims });
      };
      return onnxModel(session, source.spec, { integers, cache }, sequences);
    };
  },
};
