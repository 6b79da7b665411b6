/** Attention in one pass over keys and values, for a whole query group; slices of the context are merged. */
import * as wgsl from "../../kernels/mod.ts";
import { fusedDispatches } from "../plan/dispatches.ts";
import {
  constantsOf,
  type Executor,
  firstKvRow,
  paramsOf,
  perHeadBuffer,
  scratchBuffer,
} from "./executor.ts";
import type { Owned } from "../gpu/owned.ts";
import { Kernel } from "../gpu/kernel.ts";
import { matrixConstants } from "../plan/matrix_tile.ts";
import { MATRIX_ENABLE } from "../gpu/matrix_units.ts";
import { loadPacks } from "../tensor/loads.ts";
import { numRows } from "../plan/plan_base.ts";
import { isQuantized } from "../tensor/quantized.ts";
import { perHeadConstants, rowEnd, scoreOf } from "../score/pieces.ts";
import { kvReads, packFragment, queryReads } from "../tensor/wgsl_reads.ts";
import type { WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { fusedPackSize, headLoads, stripInvocations } from "../plan/fused_tile.ts";
import type { FusedPlan } from "../plan/fused.ts";
import { MERGE_WORKGROUP } from "../plan/slices.ts";

/** Compiles the kernels of a plan and allocates its scratch, which `owned` keeps. */
export async function createFused(gpu: Gpu, owned: Owned, plan: FusedPlan): Promise<Executor> {
  const { slices } = plan;
  const rows = numRows(plan.spec);
  const kernels = await compile(gpu, plan);
  const statesBytes = slices * rows * 8;
  const { params, partials, states, perHead } = await gpu.guard("allocate attention", () => ({
    params: plan.blocks.map((block) =>
      owned.keep(kernels.attend.uniform({
        ...paramsOf(plan),
        firstTile: block.firstTile,
        firstKvRow: firstKvRow(plan, block),
      }))
    ),
    partials: scratchBuffer(gpu, owned, slices === 1 ? 0 : plan.scratchBytes - statesBytes),
    states: scratchBuffer(gpu, owned, slices === 1 ? 0 : statesBytes),
    perHead: perHeadBuffer(gpu, owned, plan.spec),
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
  };
}

async function compile(gpu: Gpu, plan: FusedPlan) {
  const { spec, loads } = plan;
  const { dtype, kvDtype, arithmetic, seqLen, bias, mask } = spec;
  const { rows: ROWS, rowGroups: ROW_GROUPS, lanes: LANES, keys: KEYS } = plan;
  const { strips: STRIPS, columns: COLUMNS } = plan;
  const packSize = fusedPackSize(spec);
  const reads = kvReads(kvDtype, packSize, loads, arithmetic === "f32" ? "f32" : "f16");
  const constants = constantsOf(plan);
  const TILE_ROWS = ROWS * ROW_GROUPS;
  const WORKGROUP = LANES * ROW_GROUPS;
  const VALUE_PACKS = plan.valueLoads * loadPacks(loads);
  const STRIP_INVOCATIONS = stripInvocations(plan);
  // Integers are finite: what is not seen has no weight, and that is enough.
  const maySkip = !isQuantized(kvDtype) && (plan.columns > 1 || seqLen > 1 || bias || mask);
  const MAY_SKIP = maySkip ? 1 : 0;
  const { params, masked, context, state, rowTile, storeOutput, storePartial } = wgsl;
  const base = [params, masked, context, packFragment(packSize), state, rowTile];
  const usesSubgroups = plan.partners > 1 || plan.sharers > 0 || plan.shuffles;
  const isSplit = plan.slices > 1;
  const output = [...rowEnd(spec), storeOutput];
  const heads = perHeadConstants(spec);
  const rows = rowsOf(plan);
  const [attend, merge] = await Promise.all([
    Kernel.compile(gpu, "attend", {
      enables: [
        ...(usesSubgroups && gpu.dialect.enableSubgroups ? ["subgroups"] : []),
        ...(plan.matrix ? [MATRIX_ENABLE] : []),
      ],
      types: { T: dtype, ...reads.types },
      constants: {
        ...{ ...constants, ...reads.constants, ...rows.constants, ...heads },
        ...{ ROWS, ROW_GROUPS, TILE_ROWS, LANES, KEYS, WORKGROUP, COLUMNS, MAY_SKIP },
        ...{ TELLS_WHOLE: plan.tellsWhole ? 1 : 0, HALVINGS: Math.log2(LANES) },
        ...{ STRIPS, STRIP_INVOCATIONS, VALUE_PACKS, VALUE_LOADS: plan.valueLoads },
      },
      fragments: [
        ...base,
        ...reads.fragments,
        queryReads(dtype, kvDtype),
        ...scoreOf(spec),
        ...rows.fragments,
        plan.shuffles ? wgsl.lanesShuffle : wgsl.lanesMemory,
        ...productsOf(plan),
        ...(isSplit ? [storePartial] : output),
        wgsl.attend,
      ],
      extensions: plan.matrix && [wgsl.matrixChromium],
    }),
    isSplit
      ? Kernel.compile(gpu, "merge slices", {
        types: { T: dtype },
        constants: { ...constants, TILE_ROWS, WORKGROUP: MERGE_WORKGROUP, ...heads },
        fragments: [...base, ...output, wgsl.mergeSlices],
      })
      : undefined,
  ]);
  return { attend, merge };
}

/** What products are computed in, and how values are summed up. */
function productsOf({ spec, matrix }: FusedPlan): string[] {
  const { productsF16, productsF32, halfVec4, halfScalar, valuesApart, valuesMatrix } = wgsl;
  if (matrix) return [valuesMatrix];
  if (spec.arithmetic === "f32") return [productsF32, valuesApart];
  return [productsF16, fusedPackSize(spec) === 4 ? halfVec4 : halfScalar, valuesApart];
}

/** As many of an invocation's loads at once as divide them: up to 4, as more would take the registers of queries. */
function stagedLoads(loads: number): number {
  return [4, 2].find((atOnce) => loads % atOnce === 0) ?? 1;
}

/** How lanes come by queries and weights, and whose keys they score. */
function rowsOf(plan: FusedPlan): Pick<WgslModule, "constants" | "fragments"> {
  const { rows, rowGroups, keys, sharers, partners, keyChunk, columns, loads, matrix } = plan;
  const { keysApart, keysDirect, keysShared, keysStaged, weightsLoaded } = wgsl;
  if (matrix) {
    const { keysMatrix, matrixScalar, matrixTile, matrixVec4 } = wgsl;
    const pack = fusedPackSize(plan.spec) === 4 ? matrixVec4 : matrixScalar;
    return {
      constants: matrixConstants(plan.spec, { ...plan, matrix }),
      fragments: [matrixTile, pack, keysMatrix],
    };
  }
  if (partners > 1) {
    const PART_LOADS = headLoads(plan) / partners;
    return {
      constants: {
        ...{ PARTNERS: partners, HALF_PARTNERS: partners / 2, EXCHANGES: Math.log2(partners) },
        ...{ PART_LOADS, PART_PACKS: PART_LOADS * loadPacks(loads) },
      },
      fragments: [keysShared, weightsLoaded],
    };
  }
  if (sharers > 0) {
    return {
      constants: {
        SHARERS: sharers,
        ROW_LOADS: Math.ceil(rows / sharers),
        WEIGHT_LOADS: Math.ceil(rows * columns / sharers),
      },
      fragments: [
        keysApart,
        keysDirect,
        wgsl.queriesBroadcast,
        wgsl.weightsBroadcast,
      ],
    };
  }
  const ownKeys = keyChunk === 0 ? keysDirect : keysStaged;
  return {
    constants: { CHUNK: keyChunk, STAGED_LOADS: stagedLoads(keyChunk * keys / rowGroups) },
    fragments: [keysApart, ownKeys, wgsl.queriesLoaded, weightsLoaded],
  };
}
