/**
 * tfjs: matMul, softmax, matMul, with what else is asked written out between them. Query heads of a group become rows of one
 * matrix, so that nothing is repeated.
 */
import { importPackage } from "./import_package.ts";
import { OWN_SCORE } from "../asked.ts";
import { tfjsGradient } from "../gradient/tfjs.ts";
import { addendOf, pairsOf, swapMiddle } from "./layout.ts";
import { inPages, PAGE_SIZE, pageTableOf } from "./pages.ts";
import { AbsentError, type PeerPackage, refuse } from "./peer.ts";

const VERSION = "4.22.0";
const [CORE, BACKEND] = ["tfjs-core", "tfjs-backend-webgpu"].map((name) =>
  `npm:@tensorflow/${name}@${VERSION}`
);

/** Its element types. */
const API = "https://js.tensorflow.org/api/latest/#tensor";

export const tfjs: PeerPackage = {
  name: `tfjs ${VERSION}`,
  npm: { name: "@tensorflow/tfjs-core", version: VERSION },
  async load() {
    const tf = await importPackage(CORE);
    await importPackage(BACKEND);
    if (!await tf.setBackend("webgpu")) throw new Error("its WebGPU backend does not start");
    return {
      prepareGradient: tfjsGradient(tf),
      // deno-lint-ignore require-await
      async prepare(asked, inputs) {
        const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = asked;
        refuse(asked, ["ring", "kvBits"], API);
        if (dtype === "f16") throw new AbsentError("f16", API);
        const { softcap, sinkLogits, valueDim = headDim, isPaged, hasOwnScore } = asked;
        const rows = numHeads / numKvHeads * seqLen;
        const qSwapped = swapMiddle(inputs.q, [batch, seqLen, numHeads, headDim]);
        const kvShape = [batch * numKvHeads, contextLen, headDim];
        const q = tf.tensor(qSwapped, [batch * numKvHeads, rows, headDim]);
        const table = pageTableOf(asked);
        const pages = isPaged && tf.tensor(table, [table.length], "int32");
        const stored = (data: Float32Array, size: number) =>
          isPaged
            ? tf.tensor(inPages(data, asked, size), [table.length, PAGE_SIZE, numKvHeads, size])
            : tf.tensor(data, kvShape.with(-1, size));
        const [kStored, vStored] = [stored(inputs.k, headDim), stored(inputs.v, valueDim)];
        /** Keys or values in the order of their tokens. */
        const inOrder = (stored: unknown, size: number) => {
          if (!pages) return stored;
          const shape = [batch, contextLen, numKvHeads, size];
          const tokens = tf.reshape(tf.gather(stored, pages), shape);
          return tf.reshape(tf.transpose(tokens, [0, 2, 1, 3]), kvShape.with(-1, size));
        };
        const scale = tf.scalar(1 / Math.sqrt(headDim));
        const cap = softcap && tf.scalar(softcap);
        const scoresShape = [batch, numHeads, seqLen, contextLen];
        const added = addendOf(asked, inputs.bias);
        const addend = added && tf.tensor(added.data, added.shape);
        const factors = hasOwnScore ? pairsOf(asked, OWN_SCORE.factor) : undefined;
        const factor = factors && tf.tensor(factors.data, factors.shape);
        const sinks = sinkLogits &&
          tf.tile(tf.tensor(sinkLogits, [1, numHeads, 1, 1]), [batch, 1, seqLen, 1]);

        const attend = () =>
          tf.tidy(() => {
            const [k, v] = [inOrder(kStored, headDim), inOrder(vStored, valueDim)];
            let scores = tf.matMul(tf.mul(q, scale), k, false, true);
            if (cap) scores = tf.mul(tf.tanh(tf.div(scores, cap)), cap);
            scores = tf.reshape(scores, scoresShape);
            if (factor) scores = tf.mul(scores, factor);
            if (addend) scores = tf.add(scores, addend);
            if (sinks) scores = tf.concat([scores, sinks], 3);
            let weights = tf.softmax(scores);
            if (sinks) weights = tf.slice(weights, [0, 0, 0, 0], scoresShape);
            return tf.matMul(tf.reshape(weights, [batch * numKvHeads, rows, contextLen]), v);
          });
        let latest: { data(): Promise<Float32Array>; dispose(): void } | undefined;
        return {
          async run(calls) {
            for (let i = 0; i < calls; i++) {
              latest?.dispose();
              latest = attend();
            }
            await latest!.data(); // the only documented way to wait
          },
          async output() {
            return swapMiddle(await latest!.data(), [batch, numHeads, seqLen, valueDim]);
          },
          destroy() {
            const held = [q, kStored, vStored, pages, scale, cap, addend, factor, sinks, latest];
            tf.dispose(held.filter((tensor) => tensor));
          },
        };
      },
    };
  },
};
