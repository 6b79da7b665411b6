// One GPUDevice for tfjs and Onehead: tfjs projects, Onehead attends, tfjs goes on, and nothing leaves the GPU in between.
// tfjs is fetched when this runs: deno run --allow-all examples/share_device_tfjs.ts
import { attend, Gpu, referenceAttention, Tensor } from "@onehead/attention";

const [CORE, BACKEND] = ["tfjs-core", "tfjs-backend-webgpu"].map((name) =>
  `npm:@tensorflow/${name}@4.22.0`
);
const tf = await import(CORE);
const { WebGPUBackend } = await import(BACKEND);

// tfjs takes the device of Onehead, under the name that its kernels are registered for.
const gpu = await Gpu.open();
tf.removeBackend("webgpu");
tf.registerBackend("webgpu", () => new WebGPUBackend(gpu.device, gpu.device.adapterInfo));
await tf.setBackend("webgpu");

const [tokens, width, numHeads, headDim] = [16, 64, 8, 32];
const x = tf.randomUniform([tokens, width], -1, 1);
const project = (heads: number) =>
  tf.matMul(x, tf.randomUniform([width, heads * headDim], -0.2, 0.2));
const [q, k, v] = [numHeads, 1, 1].map(project);

// Their buffers in. They stay theirs: `wrap` copies nothing, and tfjs destroys what it made.
const wrap = (tensor: { dataToGPU(): { buffer: GPUBuffer } }, heads: number) =>
  Tensor.wrap(gpu, tensor.dataToGPU().buffer, [1, tokens, heads, headDim]);
const { o } = await attend(gpu, { q: wrap(q, numHeads), k: wrap(k, 1), v: wrap(v, 1) });

// Ours out: a tfjs tensor over the output's buffer.
const attended = tf.tensor({ buffer: o.buffer }, [tokens, numHeads * headDim], "float32");
const result = await tf.relu(attended).data();

const host = async (tensor: { data(): Promise<Float32Array> }, heads: number) => ({
  data: await tensor.data(),
  shape: [1, tokens, heads, headDim],
});
const [qHost, kHost, vHost] = await Promise.all([host(q, numHeads), host(k, 1), host(v, 1)]);
const expected = referenceAttention({ q: qHost, k: kHost, v: vHost }).o;
/** The largest difference from the float64 reference. */
export const error = Math.max(
  ...expected.map((value, i) => Math.abs(result[i] - Math.max(0, value))),
);
console.log(`tfjs and Onehead on ${gpu.description.description}; off by ${error} at most`);
gpu.destroy();
