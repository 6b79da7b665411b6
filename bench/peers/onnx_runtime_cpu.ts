/** ONNX Runtime's native CPU provider: what the same machine can do without a GPU. */
import { importPackage } from "./import_package.ts";
import type { Asked, Inputs } from "../asked.ts";
import {
  type Feed,
  NO_GRADIENT,
  type OnnxAttention,
  standardAttention,
  VERSION,
} from "./onnx_attention.ts";
import { groupQueryAttention } from "./onnx_group_query.ts";
import { pagedAttention } from "./onnx_paged.ts";
import { encodeModel, graphOf } from "./onnx_model.ts";
import type { PeerPackage } from "./peer.ts";

const PACKAGE = `npm:onnxruntime-node@${VERSION}`;

/** Options of every session: threads that spin for a while after a call would slow whoever has the next turn. */
export const CPU_SESSION = { extra: { session: { intra_op: { allow_spinning: "0" } } } };

/** Loads the runtime. */
export const loadOnnxRuntimeNode = () => importPackage(PACKAGE);

export const onnxRuntimeCpu: PeerPackage = {
  name: `ONNX Runtime ${VERSION} CPU`,
  npm: { name: "onnxruntime-node", version: VERSION },
  async load() {
    const ort = await loadOnnxRuntimeNode();
    withoutFloat16Array(() => new ort.Tensor("float32", new Float32Array(1), [1]));
    return {
      prepareGradient: NO_GRADIENT,
      async prepare(asked, inputs) {
        const attention = attentionOnCpu(asked, inputs);
        const graph = graphOf(attention.node, attention.version);
        const session = await ort.InferenceSession.create(encodeModel(graph), CPU_SESSION);
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
        let latest: Record<string, { data: Float32Array | Uint16Array<ArrayBuffer> }>;
        return {
          async run(calls) {
            for (let i = 0; i < calls; i++) latest = await session.run(feeds, fetches);
          },
          // deno-lint-ignore require-await
          async output() {
            const { data } = latest[first.name];
            return attention.arrange(
              data instanceof Uint16Array ? new Float16Array(data.buffer) : data,
            );
          },
          async destroy() {
            await session.release();
          },
          tolerance: attention.tolerance,
        };
      },
    };
  },
};

/** ONNX's own operator where it can: that of the other one copies its cache with each call. */
function attentionOnCpu(asked: Asked, inputs: Inputs): OnnxAttention {
  const { seqLen, contextLen, window, sinkLogits, isPaged, kvBits, hasOwnScore } = asked;
  if (isPaged) return pagedAttention(asked, inputs);
  if (asked.valueDim !== undefined) return standardAttention(asked, inputs);
  const isWhole = (seqLen === 1 || seqLen === contextLen) && !asked.contextLens;
  const isStandard = isWhole && window === undefined && !sinkLogits && !inputs.bias && !kvBits &&
    !hasOwnScore;
  return isStandard ? standardAttention(asked, inputs) : groupQueryAttention(asked, inputs);
}

/** The elements of a feed; f16 as their bits. */
function elementsOf({ type, data }: Feed): ArrayBufferView {
  return type === "float16" ? new Uint16Array(new Float16Array(data).buffer) : data;
}

/**
 * Does something as if there were no `Float16Array`. ONNX Runtime looks for it once, with its first tensor, and takes bits
 * where there is none; elements it would hand to native code through Deno's Node-API, which does not know them.
 */
function withoutFloat16Array(work: () => void): void {
  const { Float16Array } = globalThis;
  Reflect.deleteProperty(globalThis, "Float16Array");
  try {
    work();
  } finally {
    globalThis.Float16Array = Float16Array;
  }
}
