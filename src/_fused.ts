/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fragments, kernels } from "../kernels/mod.ts";
import { type Executor, firstKvRow, paramsOf, scratchBuffer } from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { numRows } from "./_plan.ts";
import type { Gpu } from "./device.ts";
import { fusedPacks, fusedPackSize, type FusedPlan, MERGE_WORKGROUP } from "./plan_fused.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createFused(gpu: Gpu, plan: FusedPlan): Promise<Executor> {
  const { slices } = plan;
  const rows = numRows(plan.spec);
  const { attend, merge } = await compile(gpu, plan);
  const statesBytes = slices * rows * 8;
  const { params, partials, states } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map((block) =>
      attend.uniform({
        ...paramsOf(plan),
        firstTile: block.firstTile,
        firstKvRow: firstKvRow(plan, block),
      })
    ),
    partials: scratchBuffer(gpu.device, slices === 1 ? 0 : plan.scratchBytes - statesBytes),
    states: scratchBuffer(gpu.device, slices === 1 ? 0 : statesBytes),
  }));
  const mergeGroups = Math.ceil(rows * fusedPacks(plan.spec) / MERGE_WORKGROUP);
  return {
    encode(pass, given, kv) {
      const buffers = slices === 1 ? given : { ...given, partials: partials!, states: states! };
      plan.blocks.forEach(({ numTiles, part }, i) => {
        const bindings = attend.bind({ ...buffers, ...kv[part], params: params[i] });
        attend.dispatch(pass, bindings, [slices, numTiles]);
      });
      merge?.dispatch(pass, merge.bind({ ...buffers, params: params[0] }), [mergeGroups, 1]);
    },
    destroy() {
      partials?.destroy();
      states?.destroy();
      for (const buffer of params) buffer.destroy();
    },
  };
}

async function compile(gpu: Gpu, plan: FusedPlan) {
  const { rows: ROWS, rowGroups: ROW_GROUPS, lanes: LANES, keys: KEYS } = plan;
  const { strips: STRIPS, valuePacks: VALUE_PACKS, sharers: SHARERS } = plan;
  const { headDim: HEAD_DIM, valueDim: VALUE_DIM, dtype } = plan.spec;
  const types = { T: dtype };
  const TILE_ROWS = ROWS * ROW_GROUPS;
  const WORKGROUP = LANES * ROW_GROUPS;
  const pack = fusedPackSize(plan.spec) === 4 ? fragments.packVec4 : fragments.packScalar;
  const { params, context, softmaxState, rowTile, storeOutput, storePartial } = fragments;
  const base = [params, context, pack, softmaxState, rowTile];
  const rows = SHARERS === 0 ? fragments.rowsLoaded : fragments.rowsBroadcast;
  const lanes = plan.shuffles ? fragments.lanesShuffle : fragments.lanesMemory;
  const usesSubgroups = SHARERS > 0 || plan.shuffles;
  const isSplit = plan.slices > 1;
  const [attend, merge] = await Promise.all([
    Kernel.compile(gpu, "attend", {
      enables: usesSubgroups && gpu.dialect.enableSubgroups ? ["subgroups"] : [],
      types,
      constants: {
        ...{ HEAD_DIM, VALUE_DIM, ROWS, ROW_GROUPS, TILE_ROWS, LANES, KEYS, WORKGROUP },
        ...{ STRIPS, VALUE_PACKS, STRIP_INVOCATIONS: STRIPS === 1 ? 1 : WORKGROUP },
        ...{
          ROWS_DIFFER: plan.spec.seqLen > 1 ? 1 : 0,
          SHARERS,
          ROW_LOADS: Math.ceil(ROWS / Math.max(1, SHARERS)),
        },
      },
      fragments: [...base, rows, lanes, isSplit ? storePartial : storeOutput, kernels.attend],
    }),
    isSplit
      ? Kernel.compile(gpu, "merge slices", {
        types,
        constants: { VALUE_DIM, TILE_ROWS, WORKGROUP: MERGE_WORKGROUP },
        fragments: [...base, storeOutput, kernels.mergeSlices],
      })
      : undefined,
  ]);
  return { attend, merge };
}
