/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fragments, kernels } from "../kernels/mod.ts";
import { type Executor, paramsOf, perHeadBuffer, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { numRows } from "./_plan.ts";
import { perHeadConstants, rowEnd, scoreOf } from "./_score.ts";
import type { Gpu } from "./device.ts";
import { fusedPacks, fusedPackSize, type FusedPlan, MERGE_WORKGROUP } from "./plan_fused.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createFused(gpu: Gpu, plan: FusedPlan): Promise<Executor> {
  const { slices } = plan;
  const rows = numRows(plan.spec);
  const { attend, merge } = await compile(gpu, plan);
  const statesBytes = slices * rows * 8;
  const { params, partials, states, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map(({ firstTile }) => attend.uniform({ ...paramsOf(plan), firstTile })),
    partials: scratchBuffer(gpu.device, slices === 1 ? 0 : plan.scratchBytes - statesBytes),
    states: scratchBuffer(gpu.device, slices === 1 ? 0 : statesBytes),
    perHead: perHeadBuffer(gpu.device, plan.spec),
  }));
  const mergeGroups = Math.ceil(rows * fusedPacks(plan.spec) / MERGE_WORKGROUP);
  return {
    encode(pass, given) {
      const buffers = {
        ...given,
        ...(partials && states && { partials, states }),
        ...(perHead && { perHead }),
      };
      plan.blocks.forEach(({ numTiles }, i) => {
        const bindings = attend.bind({ ...buffers, params: params[i] });
        attend.dispatch(pass, bindings, [slices, numTiles]);
      });
      merge?.dispatch(pass, merge.bind({ ...buffers, params: params[0] }), [mergeGroups, 1]);
    },
    destroy() {
      partials?.destroy();
      states?.destroy();
      perHead?.destroy();
      for (const buffer of params) buffer.destroy();
    },
  };
}

async function compile(gpu: Gpu, plan: FusedPlan) {
  const { rows: ROWS, rowGroups: ROW_GROUPS, lanes: LANES, keys: KEYS } = plan;
  const { strips: STRIPS, valuePacks: VALUE_PACKS } = plan;
  const { headDim: HEAD_DIM, valueDim: VALUE_DIM, dtype } = plan.spec;
  const types = { T: dtype };
  const TILE_ROWS = ROWS * ROW_GROUPS;
  const WORKGROUP = LANES * ROW_GROUPS;
  const pack = fusedPackSize(plan.spec) === 4 ? fragments.packVec4 : fragments.packScalar;
  const { params, masked, context, softmaxState, rowTile, storeOutput, storePartial } = fragments;
  const base = [params, masked, context, pack, softmaxState, rowTile];
  const isSplit = plan.slices > 1;
  const output = [...rowEnd(plan.spec), storeOutput];
  const heads = perHeadConstants(plan.spec);
  const [attend, merge] = await Promise.all([
    Kernel.compile(gpu, "attend", {
      types,
      constants: {
        ...{ HEAD_DIM, VALUE_DIM, ROWS, ROW_GROUPS, TILE_ROWS, LANES, KEYS, WORKGROUP },
        ...{ STRIPS, VALUE_PACKS, STRIP_INVOCATIONS: STRIPS === 1 ? 1 : WORKGROUP },
        ...heads,
      },
      fragments: [
        ...base,
        ...scoreOf(plan.spec),
        ...(isSplit ? [storePartial] : output),
        kernels.attend,
      ],
    }),
    isSplit
      ? Kernel.compile(gpu, "merge slices", {
        types,
        constants: { VALUE_DIM, TILE_ROWS, WORKGROUP: MERGE_WORKGROUP, ...heads },
        fragments: [...base, ...output, kernels.mergeSlices],
      })
      : undefined,
  ]);
  return { attend, merge };
}
