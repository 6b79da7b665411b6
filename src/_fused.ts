/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import { fragments, kernels as texts } from "../kernels/mod.ts";
import { fusedDispatches } from "./_dispatches.ts";
import {
  constantsOf,
  type Executor,
  firstKvRow,
  paramsOf,
  perHeadBuffer,
  scratchBuffer,
} from "./_executor.ts";
import { Kernel } from "./_kernel.ts";
import { numRows } from "./_plan.ts";
import { perHeadConstants, rowEnd, scoreOf } from "./_score.ts";
import { kvReads, packFragment } from "./_storage.ts";
import type { Gpu } from "./device.ts";
import { fusedPackSize, type FusedPlan, MERGE_WORKGROUP } from "./plan_fused.ts";

/** Compiles the kernels of a plan and allocates its scratch. */
export async function createFused(gpu: Gpu, plan: FusedPlan): Promise<Executor> {
  const { slices } = plan;
  const rows = numRows(plan.spec);
  const kernels = await compile(gpu, plan);
  const statesBytes = slices * rows * 8;
  const { params, partials, states, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map((block) =>
      kernels.attend.uniform({
        ...paramsOf(plan),
        firstTile: block.firstTile,
        firstKvRow: firstKvRow(plan, block),
      })
    ),
    partials: scratchBuffer(gpu.device, slices === 1 ? 0 : plan.scratchBytes - statesBytes),
    states: scratchBuffer(gpu.device, slices === 1 ? 0 : statesBytes),
    perHead: perHeadBuffer(gpu.device, plan.spec),
  }));
  return {
    bind(given, kv) {
      const buffers = {
        ...given,
        ...(partials && states && { partials, states }),
        ...(perHead && { perHead }),
      };
      return fusedDispatches(plan).map(({ kernel, block, grid }) => {
        const { part } = plan.blocks[block];
        return kernels[kernel]!.bind({ ...buffers, ...kv[part], params: params[block] }, grid);
      });
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
  const { strips: STRIPS, valueLoads: VALUE_LOADS, sharers: SHARERS } = plan;
  const { dtype, kvDtype, products, seqLen, bias, mask } = plan.spec;
  const reads = kvReads(kvDtype, fusedPackSize(plan.spec), { products, loadPacks: plan.loadPacks });
  const constants = constantsOf(plan);
  const TILE_ROWS = ROWS * ROW_GROUPS;
  const WORKGROUP = LANES * ROW_GROUPS;
  const pack = packFragment(fusedPackSize(plan.spec));
  const { params, masked, context, softmaxState, rowTile, storeOutput, storePartial } = fragments;
  const base = [params, masked, context, pack, softmaxState, rowTile];
  const rows = SHARERS === 0 ? fragments.rowsLoaded : fragments.rowsBroadcast;
  const lanes = plan.shuffles ? fragments.lanesShuffle : fragments.lanesMemory;
  const half = fusedPackSize(plan.spec) === 4 ? fragments.halfVec4 : fragments.halfScalar;
  const multiplies = products === "f16" ? [fragments.productsF16, half] : [fragments.productsF32];
  const usesSubgroups = SHARERS > 0 || plan.shuffles;
  const isSplit = plan.slices > 1;
  const output = [...rowEnd(plan.spec), storeOutput];
  const heads = perHeadConstants(plan.spec);
  const [attend, merge] = await Promise.all([
    Kernel.compile(gpu, "attend", {
      enables: usesSubgroups && gpu.dialect.enableSubgroups ? ["subgroups"] : [],
      types: { T: dtype, ...reads.types },
      constants: {
        ...constants,
        ...reads.constants,
        ...{ ROWS, ROW_GROUPS, TILE_ROWS, LANES, KEYS, WORKGROUP },
        ...{
          STRIPS,
          VALUE_LOADS,
          VALUE_PACKS: VALUE_LOADS * plan.loadPacks,
          STRIP_INVOCATIONS: STRIPS === 1 ? 1 : WORKGROUP,
        },
        ...{
          ROWS_DIFFER: seqLen > 1 || bias || mask ? 1 : 0,
          SHARERS,
          ROW_LOADS: Math.ceil(ROWS / Math.max(1, SHARERS)),
        },
        ...heads,
      },
      fragments: [
        ...base,
        ...reads.fragments,
        ...scoreOf(plan.spec),
        rows,
        lanes,
        ...multiplies,
        ...(isSplit ? [storePartial] : output),
        texts.attend,
      ],
    }),
    isSplit
      ? Kernel.compile(gpu, "merge slices", {
        types: { T: dtype },
        constants: { ...constants, TILE_ROWS, WORKGROUP: MERGE_WORKGROUP, ...heads },
        fragments: [...base, ...output, texts.mergeSlices],
      })
      : undefined,
  ]);
  return { attend, merge };
}
