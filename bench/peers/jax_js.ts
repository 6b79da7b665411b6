/**
 * jax-js: `nn.dotProductAttention` under `jit`. It repeats K and V for every query head; pages are gathered by `numpy.take`
 * before.
 */
import { importPackage } from "./import_package.ts";
import { type JaxArray, jaxGradient } from "../gradient/jax_js.ts";
import { addendOf, swapMiddle } from "./layout.ts";
import { inPages, PAGE_SIZE, pageTableOf } from "./pages.ts";
import { type PeerPackage, refuse } from "./peer.ts";

const VERSION = "0.1.25";
const PACKAGE = `npm:@jax-js/jax@${VERSION}`;
/** The options of its attention, and its element types. */
const API = "https://jax-js.com/docs";

export const jaxJs: PeerPackage = {
  name: `jax-js ${VERSION}`,
  npm: { name: "@jax-js/jax", version: VERSION },
  async load() {
    const jax = await importPackage(PACKAGE);
    const devices: string[] = await jax.init("webgpu");
    if (!devices.includes("webgpu")) throw new Error(`webgpu is not among ${devices.join(", ")}`);
    jax.defaultDevice("webgpu");
    return {
      prepareGradient: jaxGradient(jax),
      async prepare(asked, inputs) {
        refuse(asked, ["softcap", "sinkLogits", "ring", "kvBits", "hasOwnScore"], API);
        const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype, window } = asked;
        const { valueDim = headDim, isPaged } = asked;
        const array = (data: Float32Array, shape: readonly number[]) =>
          jax.numpy.array(dtype === "f16" ? new Float16Array(data) : data).reshape(shape);
        const kvShape = [batch, contextLen, numKvHeads, headDim];
        const table = pageTableOf(asked);
        const stored = (data: Float32Array, size: number) =>
          isPaged
            ? array(inPages(data, asked, size), [table.length, PAGE_SIZE, numKvHeads, size])
            : array(
              swapMiddle(data, [batch, numKvHeads, contextLen, size]),
              kvShape.with(-1, size),
            );
        const arrays = [
          array(inputs.q, [batch, seqLen, numHeads, headDim]),
          stored(inputs.k, headDim),
          stored(inputs.v, valueDim),
        ];
        if (isPaged) arrays.push(jax.numpy.array(table).reshape([batch, table.length / batch]));
        // Its own options count from the first key, and so serve where the queries are all tokens of the context.
        const isWhole = seqLen === contextLen && !asked.contextLens;
        const options = !isWhole ? {} : {
          isCausal: true,
          ...(window !== undefined && { localWindowSize: [window - 1, 0] }),
        };
        const biasShape = [1, numHeads, seqLen, contextLen];
        const addend = !isWhole
          ? addendOf(asked, inputs.bias)
          : inputs.bias && { data: inputs.bias, shape: biasShape };
        if (addend) arrays.push(array(addend.data, addend.shape));
        await jax.blockUntilReady(arrays);

        /** Keys or values in the order of their tokens. */
        const inOrder = (pages: unknown, table: unknown, size: number) =>
          jax.numpy.take(pages, table, 0).reshape(kvShape.with(-1, size));
        const attendTo = (q: unknown, k: unknown, v: unknown, bias: unknown) =>
          jax.nn.dotProductAttention(q, k, v, { ...options, ...(bias !== undefined && { bias }) });
        const attend = jax.jit((...[q, k, v, ...others]: JaxArray[]) => {
          if (!isPaged) return attendTo(q, k, v, others[0]);
          const [table, bias] = others;
          return attendTo(q, inOrder(k, table.ref, headDim), inOrder(v, table, valueDim), bias);
        });
        let latest: JaxArray[] = [];
        const drop = () => {
          for (const output of latest) output.dispose();
          latest = [];
        };
        return {
          async run(calls) {
            drop();
            // All are held until all are there: what nobody holds is not computed.
            for (let i = 0; i < calls; i++) latest.push(attend(...arrays.map(({ ref }) => ref)));
            await jax.blockUntilReady(latest);
          },
          async output() {
            const [output] = latest.splice(-1);
            return await output.data();
          },
          destroy() {
            drop();
            for (const array of arrays) array.dispose();
            attend.dispose();
          },
        };
      },
    };
  },
};
