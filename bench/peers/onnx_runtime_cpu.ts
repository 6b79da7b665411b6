/** ONNX Runtime's native CPU provider: what the same machine can do without a GPU. */
import {
  type Elements,
  elementsOf,
  groupQueryAttention,
  type OnnxAttention,
  standardAttention,
  VERSION,
} from "./onnx_attention.ts";
import { encodeModel } from "./onnx_model.ts";
import type { Asked, Inputs, PeerPackage } from "./peer.ts";

/** By a name that is not analysed: it is fetched when it is asked for. */
const PACKAGE = `npm:onnxruntime-node@${VERSION}`;

export const onnxRuntimeCpu: PeerPackage = {
  name: `ONNX Runtime ${VERSION} CPU`,
  async load() {
    const ort = await import(PACKAGE);
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

/** ONNX's own operator where it can: that of the other one copies its cache with each call. */
function attentionOnCpu(asked: Asked, inputs: Inputs): OnnxAttention {
  const { seqLen, contextLen, window, sinkLogits } = asked;
  const isWhole = seqLen === 1 || seqLen === contextLen;
  const isStandard = isWhole && window === undefined && !sinkLogits && !inputs.bias;
  return isStandard ? standardAttention(asked, inputs) : groupQueryAttention(asked, inputs);
}
