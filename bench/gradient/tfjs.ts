/** tfjs: `grads` of matMul, softmax, matMul. Query heads of a group become rows of one matrix, so that nothing is repeated. */
import { swapMiddle } from "../peers/layout.ts";
import type { PrepareGradient } from "./system.ts";

interface TfTensor {
  shape: number[];
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Gradient = (dy: TfTensor, saved: TfTensor[], attributes: Record<string, unknown>) => Record<
  string,
  () => TfTensor
>;

/** The gradients of the kernels below, as its folder dist/gradients has them: its package for Node comes without any. */
// deno-lint-ignore no-explicit-any
function registerGradients(tf: any): void {
  const register = (
    kernelName: string,
    saved: { inputsToSave?: string[]; outputsToSave?: boolean[] },
    gradFunc: Gradient,
  ) => tf.registerGradient({ kernelName, ...saved, gradFunc });
  register("BatchMatMul", { inputsToSave: ["a", "b"] }, (dy, [a, b], { transposeB }) => ({
    a: () => tf.matMul(dy, b, false, !transposeB),
    b: () => transposeB ? tf.matMul(dy, a, true, false) : tf.matMul(a, dy, true, false),
  }));
  register("Softmax", { outputsToSave: [true] }, (dy, [weights], { dim }) => {
    const product = tf.mul(dy, weights);
    return {
      logits: () => tf.sub(product, tf.mul(tf.sum(product, [dim], true), weights)),
    };
  });
  // Here the second operand is a constant, of which nobody asks the gradient.
  register("Add", {}, (dy) => ({ a: () => dy }));
  register("Multiply", { inputsToSave: ["b"] }, (dy, [b]) => ({ a: () => tf.mul(dy, b) }));
  register("Reshape", { inputsToSave: ["x"] }, (dy, [x]) => ({
    x: () => tf.reshape(dy, x.shape),
  }));
}

/** Prepares the gradients of tfjs, once it has been loaded. */
// deno-lint-ignore no-explicit-any
export function tfjsGradient(tf: any): PrepareGradient {
  registerGradients(tf);
  // deno-lint-ignore require-await
  return async ({ tokens, numHeads, numKvHeads, headDim }, inputs) => {
    const rows = numHeads / numKvHeads * tokens;
    /** Heads before tokens: the heads of a group are one matrix. */
    const matrix = (data: Float32Array, heads: number, rows: number): TfTensor =>
      tf.tensor(swapMiddle(data, [1, tokens, heads, headDim]), [numKvHeads, rows, headDim]);
    const read = [
      matrix(inputs.q, numHeads, rows),
      matrix(inputs.k, numKvHeads, tokens),
      matrix(inputs.v, numKvHeads, tokens),
    ];
    const dO = matrix(inputs.dO, numHeads, rows);
    const scale = tf.scalar(1 / Math.sqrt(headDim));
    const mask = Float32Array.from(
      { length: tokens * tokens },
      (_, i) => i % tokens > Math.floor(i / tokens) ? -Infinity : 0,
    );
    const addend = tf.tensor(mask, [1, tokens, tokens]);
    const gradient = tf.grads((q: TfTensor, k: TfTensor, v: TfTensor) => {
      const scores = tf.reshape(
        tf.matMul(tf.mul(q, scale), k, false, true),
        [numHeads, tokens, tokens],
      );
      const weights = tf.softmax(tf.add(scores, addend));
      return tf.matMul(tf.reshape(weights, [numKvHeads, rows, tokens]), v);
    });
    let latest: TfTensor[] = [];
    const drop = () => tf.dispose(latest.splice(0));
    return {
      async run(calls) {
        for (let i = 0; i < calls; i++) {
          drop();
          latest = tf.tidy(() => gradient(read, dO));
        }
        // The only documented way to wait.
        for (const tensor of latest) await tensor.data();
      },
      async gradients() {
        const [dq, dk, dv] = await Promise.all(latest.map((tensor) => tensor.data()));
        const tokensFirst = (data: Float32Array, heads: number) =>
          swapMiddle(data, [1, heads, tokens, headDim]);
        return {
          dq: tokensFirst(dq, numHeads),
          dk: tokensFirst(dk, numKvHeads),
          dv: tokensFirst(dv, numKvHeads),
        };
      },
      destroy() {
        drop();
        tf.dispose([...read, dO, scale, addend]);
      },
    };
  };
}
