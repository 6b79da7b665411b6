/** tfjs: matMul, softmax, matMul. Query heads of a group become rows of one matrix, so that nothing is repeated. */
import { importPackage } from "./import_package.ts";
import { addendOf, swapMiddle } from "./layout.ts";
import { AbsentError, type PeerPackage, refuse } from "./peer.ts";

const VERSION = "4.22.0";
const [CORE, BACKEND] = ["tfjs-core", "tfjs-backend-webgpu"].map((name) =>
  `npm:@tensorflow/${name}@${VERSION}`
);

export const tfjs: PeerPackage = {
  name: `tfjs ${VERSION}`,
  npm: { name: "@tensorflow/tfjs-core", version: VERSION },
  async load() {
    const tf = await importPackage(CORE);
    await importPackage(BACKEND);
    if (!await tf.setBackend("webgpu")) throw new Error("its WebGPU backend does not start");
    return {
      // deno-lint-ignore require-await
      async prepare(asked, inputs) {
        const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype } = asked;
        refuse(asked, ["ring"]);
        if (dtype === "f16") throw new AbsentError("f16");
        const { softcap, sinkLogits, valueDim = headDim } = asked;
        const rows = numHeads / numKvHeads * seqLen;
        const qSwapped = swapMiddle(inputs.q, [batch, seqLen, numHeads, headDim]);
        const kvShape = [batch * numKvHeads, contextLen, headDim];
        const q = tf.tensor(qSwapped, [batch * numKvHeads, rows, headDim]);
        const k = tf.tensor(inputs.k, kvShape);
        const v = tf.tensor(inputs.v, kvShape.with(-1, valueDim));
        const scale = tf.scalar(1 / Math.sqrt(headDim));
        const cap = softcap && tf.scalar(softcap);
        const scoresShape = [batch, numHeads, seqLen, contextLen];
        const added = addendOf(asked, inputs.bias);
        const addend = added && tf.tensor(added.data, added.shape);
        const sinks = sinkLogits &&
          tf.tile(tf.tensor(sinkLogits, [1, numHeads, 1, 1]), [batch, 1, seqLen, 1]);

        const attend = () =>
          tf.tidy(() => {
            let scores = tf.matMul(tf.mul(q, scale), k, false, true);
            if (cap) scores = tf.mul(tf.tanh(tf.div(scores, cap)), cap);
            scores = tf.reshape(scores, scoresShape);
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
            tf.dispose([q, k, v, scale, cap, addend, sinks, latest].filter((tensor) => tensor));
          },
        };
      },
    };
  },
};
