/** ONNX Runtime, on the GPU through WebGPU and on the CPU as native code. */
import {
  type Elements,
  type Feed,
  groupQueryAttention,
  type OnnxAttention,
  standardAttention,
} from "./onnx_attention.ts";
import { encodeModel } from "./onnx_model.ts";
import type { Asked, Inputs, PeerPackage } from "./peer.ts";

const VERSION = "1.30.0";
/** By names that are not analysed: they are fetched when they are asked for. */
const WEB = `npm:onnxruntime-web@${VERSION}/webgpu`;
const NODE = `npm:onnxruntime-node@${VERSION}`;

/** The WebGPU provider of ONNX Runtime Web, cache and output in GPU buffers. */
export const onnxRuntimeWebGpu: PeerPackage = {
  name: `ONNX Runtime ${VERSION} WebGPU`,
  async load() {
    const ort = await import(WEB);
    ort.env.wasm.numThreads = 1;
    return {
      async prepare(asked, inputs) {
        const attention = groupQueryAttention(asked, inputs);
        const session = await ort.InferenceSession.create(encodeModel(attention.node), {
          executionProviders: ["webgpu"],
        });
        const device: GPUDevice = await ort.env.webgpu.device;
        const buffers: GPUBuffer[] = [];
        const onGpu = (
          { type, shape: dims }: Pick<Feed, "type" | "shape">,
          data?: ArrayBufferView,
        ) => {
          const size = dims.reduce((a, b) => a * b) * (type === "float16" ? 2 : 4);
          const buffer = device.createBuffer({ size: Math.ceil(size / 16) * 16, usage: USAGE });
          if (data) device.queue.writeBuffer(buffer, 0, data as BufferSource);
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
            const { buffer } = await download(device, fetches[first.name].gpuBuffer);
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
        };
      },
    };
  },
};

/** The native CPU provider: what the same machine can do without a GPU. */
export const onnxRuntimeCpu: PeerPackage = {
  name: `ONNX Runtime ${VERSION} CPU`,
  async load() {
    const ort = await import(NODE);
    return {
      async prepare(asked, inputs) {
        const attention = attentionOnCpu(asked, inputs);
        const session = await ort.InferenceSession.create(encodeModel(attention.node));
        const feeds = Object.fromEntries(
          attention.feeds.map((feed) => [
            feed.name,
            new ort.Tensor(feed.type, elementsOf(feed), feed.shape),
          ]),
        );
        const fetches = Object.fromEntries(
          attention.node.outputs.map(({ name }) => [name, feeds[attention.inPlace[name]] ?? null]),
        );
        const [first] = attention.node.outputs;
        let latest: Record<string, { data: Elements }>;
        return {
          async run(calls) {
            for (let i = 0; i < calls; i++) latest = await session.run(feeds, fetches);
          },
          // deno-lint-ignore require-await
          async output() {
            return attention.arrange(latest[first.name].data);
          },
          async destroy() {
            await session.release();
          },
        };
      },
    };
  },
};

/** Storage, and copies to and from. */
const USAGE = 0x80 | 0x04 | 0x08;

/** ONNX's own operator where it can: in place of its cache, that of the other one is copied with each call. */
function attentionOnCpu(asked: Asked, inputs: Inputs): OnnxAttention {
  const { seqLen, contextLen, window, sinkLogits } = asked;
  const isWhole = seqLen === 1 || seqLen === contextLen;
  const isStandard = isWhole && window === undefined && !sinkLogits && !inputs.bias;
  return isStandard ? standardAttention(asked, inputs) : groupQueryAttention(asked, inputs);
}

function elementsOf({ type, data }: Feed): ArrayBufferView {
  return type === "float16" ? new Float16Array(data) : data;
}

async function download(device: GPUDevice, source: GPUBuffer): Promise<Uint8Array<ArrayBuffer>> {
  const { size } = source;
  const staging = device.createBuffer({ size, usage: 0x01 | 0x08 });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, size);
  device.queue.submit([encoder.finish()]);
  await staging.mapAsync(1);
  const bytes = new Uint8Array(staging.getMappedRange().slice(0));
  staging.destroy();
  return bytes;
}
