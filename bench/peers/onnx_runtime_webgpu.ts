/** ONNX Runtime Web's WebGPU provider: cache and output stay in GPU buffers. */
import { importPackage } from "./import_package.ts";
import { MAP_READ, USAGE } from "../../src/gpu/usage.ts";
import type { Asked, Inputs } from "../asked.ts";
import {
  type Feed,
  NO_GRADIENT,
  type OnnxAttention,
  standardAttention,
  VERSION,
} from "./onnx_attention.ts";
import { groupQueryAttention } from "./onnx_group_query.ts";
import { encodeModel, graphOf } from "./onnx_model.ts";
import { pagedAttention } from "./onnx_paged.ts";
import { type PeerPackage, refuse } from "./peer.ts";

const PACKAGE = `npm:onnxruntime-web@${VERSION}/webgpu`;

/** The options that its JavaScript hands on: its provider has integer caches, and there is no way to ask for them. */
const SESSION_OPTIONS =
  `https://github.com/microsoft/onnxruntime/blob/v${VERSION}/js/web/lib/wasm/session-options.ts`;

/** Loads the runtime. */
export async function loadOnnxRuntimeWeb() {
  const ort = await importPackage(PACKAGE);
  ort.env.wasm.numThreads = 1;
  return ort;
}

/** Options of every session. */
export const WEBGPU_SESSION = { executionProviders: ["webgpu"] };

export const onnxRuntimeWebGpu: PeerPackage = {
  name: `ONNX Runtime ${VERSION} WebGPU`,
  npm: { name: "onnxruntime-web", version: VERSION },
  async load() {
    const ort = await loadOnnxRuntimeWeb();
    return {
      prepareGradient: NO_GRADIENT,
      async prepare(asked, inputs) {
        const attention = attentionOnWebGpu(asked, inputs);
        const graph = graphOf(attention.node, attention.version);
        const session = await ort.InferenceSession.create(encodeModel(graph), WEBGPU_SESSION);
        const device: GPUDevice = await ort.env.webgpu.device;
        const buffers: GPUBuffer[] = [];
        const onGpu = (
          { type, shape: dims }: Pick<Feed, "type" | "shape">,
          data?: BufferSource,
        ) => {
          const size = dims.reduce((a, b) => a * b) * (type === "float16" ? 2 : 4);
          const buffer = device.createBuffer({
            size: Math.ceil(size / 16) * 16,
            usage: USAGE.storage | USAGE.copySrc | USAGE.copyDst,
          });
          if (data) device.queue.writeBuffer(buffer, 0, data);
          buffers.push(buffer);
          return ort.Tensor.fromGpuBuffer(buffer, { dataType: type, dims });
        };
        const feeds = Object.fromEntries(attention.feeds.map((feed) => {
          // Lengths are read on the host.
          const tensor = feed.type === "int32"
            ? new ort.Tensor("int32", feed.data, feed.shape)
            : onGpu(feed, elementsOf(feed));
          return [feed.name, tensor];
        }));
        const fetches = Object.fromEntries(attention.node.outputs.map((output) => {
          const shared = attention.inPlace[output.name];
          return [output.name, shared ? feeds[shared] : onGpu(output)];
        }));
        const [first] = attention.node.outputs;
        return {
          async run(calls) {
            for (let i = 0; i < calls; i++) await session.run(feeds, fetches);
            await device.queue.onSubmittedWorkDone();
          },
          async output() {
            const buffer = await download(device, fetches[first.name].gpuBuffer);
            const count = first.shape.reduce((a, b) => a * b);
            const elements = first.type === "float16"
              ? new Float16Array(buffer, 0, count)
              : new Float32Array(buffer, 0, count);
            return attention.arrange(elements);
          },
          async destroy() {
            await session.release();
            for (const buffer of buffers) buffer.destroy();
          },
          tolerance: attention.tolerance,
        };
      },
    };
  },
};

/** The operator of what is asked. */
function attentionOnWebGpu(asked: Asked, inputs: Inputs): OnnxAttention {
  refuse(asked, ["kvBits"], SESSION_OPTIONS);
  if (asked.isPaged) return pagedAttention(asked, inputs);
  return asked.valueDim === undefined
    ? groupQueryAttention(asked, inputs)
    : standardAttention(asked, inputs);
}

/** The elements of a feed. */
function elementsOf({ type, data }: Feed): BufferSource {
  return (type === "float16" ? new Float16Array(data) : data) as BufferSource;
}

async function download(device: GPUDevice, source: GPUBuffer): Promise<ArrayBuffer> {
  const { size } = source;
  const staging = device.createBuffer({ size, usage: USAGE.mapRead | USAGE.copyDst });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(MAP_READ);
  const copy = staging.getMappedRange().slice(0);
  staging.destroy();
  return copy;
}
