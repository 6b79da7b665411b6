// One GPUDevice for ONNX Runtime Web and Onehead: its model makes queries, Onehead attends, its model goes on, and nothing
// leaves the GPU in between. It is fetched when this runs: deno run --allow-all examples/share_device_onnx.ts
import { attend, Gpu, referenceAttention, Tensor } from "@onehead/attention";

const ONNX_RUNTIME = "npm:onnxruntime-web@1.30.0/webgpu";
const ort = await import(ONNX_RUNTIME);
ort.env.wasm.numThreads = 1;

// In place of your model, one that consists of y = tanh(x), for x [1, 16, 8, 32].
const MODEL =
  "CAs6UAoOCgF4EgF5IgRUYW5oOgASBFRhbmhaGwoBeBIWChQIARIQCgIIAQoCCBAKAggICgIIIGIbCgF5EhYKFAgB" +
  "EhAKAggBCgIIEAoCCAgKAgggQgQKABAN";
const session = await ort.InferenceSession.create(
  Uint8Array.from(atob(MODEL), (char) => char.charCodeAt(0)),
  { executionProviders: ["webgpu"], preferredOutputLocation: "gpu-buffer" },
);
// Onehead takes the device that ONNX Runtime has opened.
const gpu = await Gpu.from(await ort.env.webgpu.device);

const random = (...shape: number[]) => ({
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 2 * Math.random() - 1),
  shape,
});
const x = random(1, 16, 8, 32); // [batch, tokens, heads, head size]
const [k, v] = [random(1, 16, 1, 32), random(1, 16, 1, 32)];

// Its buffer in. The buffer stays its own: `wrap` copies nothing.
const before = await session.run({ x: new ort.Tensor("float32", x.data, x.shape) });
const { o } = await attend(gpu, {
  q: Tensor.wrap(gpu, before.y.gpuBuffer, x.shape),
  k: await Tensor.upload(gpu, k),
  v: await Tensor.upload(gpu, v),
});

// Ours out: a tensor of ONNX Runtime over the output's buffer.
const attended = ort.Tensor.fromGpuBuffer(o.buffer, { dataType: "float32", dims: x.shape });
const after = await session.run({ x: attended });
const result = await Tensor.wrap(gpu, after.y.gpuBuffer, x.shape).download();

const q = { data: x.data.map(Math.tanh), shape: x.shape };
const expected = referenceAttention({ q, k, v }).o;
/** The largest difference from the float64 reference. */
export const error = Math.max(
  ...expected.map((value, i) => Math.abs(result[i] - Math.tanh(value))),
);
console.log(`ONNX Runtime and Onehead on ${gpu.description.description}; off by ${error} at most`);
await session.release();
