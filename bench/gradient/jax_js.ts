/** jax-js: the jitted `grad` of `nn.dotProductAttention` times dO, by q, k and v. */
import type { PrepareGradient } from "./system.ts";

/** An array of jax-js: each use takes a reference, and the last one disposes of it. */
export interface JaxArray {
  ref: JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** Prepares the gradients of jax-js, once it has been loaded. */
// deno-lint-ignore no-explicit-any
export function jaxGradient(jax: any): PrepareGradient {
  return async ({ tokens, numHeads, numKvHeads, headDim }, inputs) => {
    const array = (data: Float32Array, heads: number): JaxArray =>
      jax.numpy.array(data).reshape([1, tokens, heads, headDim]);
    const arrays = [
      array(inputs.q, numHeads),
      array(inputs.k, numKvHeads),
      array(inputs.v, numKvHeads),
      array(inputs.dO, numHeads),
    ];
    await jax.blockUntilReady(arrays);
    const loss = (q: unknown, k: unknown, v: unknown, dO: unknown) =>
      jax.numpy.sum(jax.nn.dotProductAttention(q, k, v, { isCausal: true }).mul(dO));
    const gradient = jax.jit(jax.grad(loss, { argnums: [0, 1, 2] }));
    let latest: JaxArray[][] = [];
    const drop = () => {
      for (const array of latest.flat()) array.dispose();
      latest = [];
    };
    return {
      async run(calls) {
        drop();
        // All are held until all are there: what nobody holds is not computed.
        for (let i = 0; i < calls; i++) latest.push(gradient(...arrays.map(({ ref }) => ref)));
        await jax.blockUntilReady(latest.flat());
      },
      async gradients() {
        const [[dq, dk, dv]] = latest.splice(-1);
        return { dq: await dq.data(), dk: await dk.data(), dv: await dv.data() };
      },
      destroy() {
        drop();
        for (const array of arrays) array.dispose();
        gradient.dispose();
      },
    };
  };
}
