/** jax-js: `nn.dotProductAttention` under `jit`. It repeats K and V for every query head. */
import { importPackage } from "./import_package.ts";
import { addendOf, swapMiddle } from "./layout.ts";
import { type PeerPackage, refuse } from "./peer.ts";

const VERSION = "0.1.25";
const PACKAGE = `npm:@jax-js/jax@${VERSION}`;

export const jaxJs: PeerPackage = {
  name: `jax-js ${VERSION}`,
  npm: { name: "@jax-js/jax", version: VERSION },
  async load() {
    const jax = await importPackage(PACKAGE);
    const devices: string[] = await jax.init("webgpu");
    if (!devices.includes("webgpu")) throw new Error(`webgpu is not among ${devices.join(", ")}`);
    jax.defaultDevice("webgpu");
    return {
      async prepare(asked, inputs) {
        refuse(asked, ["softcap", "sinkLogits", "ring"]);
        const { batch, numHeads, numKvHeads, headDim, seqLen, contextLen, dtype, window } = asked;
        const { valueDim = headDim } = asked;
        const array = (data: Float32Array, shape: readonly number[]) =>
          jax.numpy.array(dtype === "f16" ? new Float16Array(data) : data).reshape(shape);
        const kvShape = [batch, contextLen, numKvHeads, headDim];
        const swapped = (size: number) => [batch, numKvHeads, contextLen, size] as const;
        const arrays = [
          array(inputs.q, [batch, seqLen, numHeads, headDim]),
          array(swapMiddle(inputs.k, swapped(headDim)), kvShape),
          array(swapMiddle(inputs.v, swapped(valueDim)), kvShape.with(-1, valueDim)),
        ];
        // Its own options count from the first key, and so serve where the queries are all tokens of the context.
        const isWhole = seqLen === contextLen;
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

        const attend = jax.jit((...[q, k, v, bias]: unknown[]) =>
          jax.nn.dotProductAttention(q, k, v, { ...options, ...(bias !== undefined && { bias }) })
        );
        let latest: { ref: unknown; data(): Promise<Float32Array>; dispose(): void }[] = [];
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
