import { checkObject, sentence } from "../base/check.ts";
import type { KvView } from "../cache/kv_view.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { Owned } from "../gpu/owned.ts";
import * as wgsl from "../../kernels/mod.ts";
import { blockLanes, isPerHead, maskBlocks } from "../plan/mask_blocks.ts";
import { type AttentionPlan, planAttention } from "../plan/plan.ts";
import type { PlanBase } from "../plan/plan_base.ts";
import { ACTION as PLAN, type AttentionSpec } from "../plan/spec.ts";
import { checkModsCompile } from "../score/compile_mods.ts";
import { modPieces } from "../score/mod_pieces.ts";
import { checkModTensors, modBuffers, type ModTensors } from "../score/mod_tensors.ts";
import { checkTensor, Tensor } from "../tensor/tensor.ts";
import { createExecutor, type Executor } from "./executor.ts";
import { blocksPiece, contextPieces } from "./pieces.ts";
import { filledBuffer } from "./filled_buffer.ts";
import { paramsOf, type Program, uniformsOf } from "./program.ts";

/** The tensors of {@linkcode BlockMask.encode}; all of them are the caller's. */
export interface BlockMaskTensors {
  /** The cache whose tokens are masked. The default is contiguous keys. */
  cache?: Pick<KvView, "gpu" | "spec" | "lengthsBuffer">;
  /** Keys that each sequence has, from its first: `"u32"` [B]. Not beside `cache`. The default is all of them. */
  lengths?: Tensor;
  /** The tensors that `maskMod` reads, by their names. */
  modTensors?: ModTensors;
}

const ACTION = "compute a block mask";

/**
 * Which blocks of a mask anybody sees: 32 new tokens by 32 columns of the context are all hidden, all seen, or some of both.
 * Attention with `blockMask: true` neither loads nor computes tiles that nobody sees, and does not ask `maskMod` about tiles
 * that are seen as a whole (FlexAttention: Dong et al. 2024, arXiv 2412.05496).
 *
 * Encode it once after an append, for as many layers as share lengths and tensors. It remembers the lengths that it was
 * computed for: over others, attention looks at every tile, as it does before the first encoding. It cannot see that tensors
 * of the mask have changed: encode it anew then. A mask that only depends on positions holds over a ring.
 *
 * @example Two documents in one sequence
 * ```ts
 * import { Attention, BlockMask, Gpu, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const spec = {
 *   ...{ numHeads: 4, numKvHeads: 1, headDim: 16, seqLen: 256, capacity: 256 },
 *   maskMod: {
 *     name: "sameDocument",
 *     wgsl: `fn sameDocument(at: ScoreAt) -> bool {
 *       return documents[at.query] == documents[at.key];
 *     }`,
 *     tensors: { documents: { shape: [256], dtype: "u32" as const } },
 *   },
 *   blockMask: true,
 * };
 * const blockMask = await BlockMask.create(gpu, spec);
 * const attention = await Attention.create(gpu, spec);
 * const data = Array.from({ length: 256 }, (_, token) => token < 100 ? 0 : 1);
 * const documents = await Tensor.upload(gpu, { data, shape: [256] }, { dtype: "u32" });
 * const modTensors = { documents };
 * const empty = (heads: number) => Tensor.empty(gpu, [1, 256, heads, 16]);
 * const [q, k, v, o] = await Promise.all([4, 1, 1, 4].map(empty));
 *
 * const encoder = gpu.device.createCommandEncoder();
 * blockMask.encode(encoder, { modTensors });
 * for (let layer = 0; layer < 2; layer++) {
 *   attention.encode(encoder, { q, k, v, o, modTensors, blockMask });
 * }
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(await blockMask.counts()); // { hidden: 40, whole: 16, partial: 8 }
 * gpu.destroy();
 * ```
 */
export class BlockMask {
  /** Where it lives. */
  readonly gpu: Gpu;
  /** The plan of the attention that it is for. */
  readonly plan: AttentionPlan;

  readonly #owned: Owned;
  readonly #executor: Executor;
  readonly #fullLengths: GPUBuffer;
  readonly #states: Tensor;

  private constructor(
    gpu: Gpu,
    plan: AttentionPlan,
    made: { owned: Owned; executor: Executor; fullLengths: GPUBuffer; states: Tensor },
  ) {
    this.gpu = gpu;
    this.plan = plan;
    this.#owned = made.owned;
    this.#executor = made.executor;
    this.#fullLengths = made.fullLengths;
    this.#states = made.states;
  }

  /**
   * Compiles the kernel, and allocates the states: 4 bytes a block.
   *
   * @param gpu Where to run.
   * @param spec Shapes and options, those of the attention.
   * @returns The block mask. Destroy it with {@linkcode BlockMask.destroy}.
   * @throws {TypeError} If a value is of the wrong kind, or there is no `maskMod`.
   * @throws {RangeError} If a value is out of range, or a limit of the device is exceeded.
   * @throws {WgslError} If `maskMod` does not compile.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   */
  static async create(gpu: Gpu, spec: AttentionSpec): Promise<BlockMask> {
    checkGpu(PLAN, gpu);
    checkObject(PLAN, "spec", spec);
    const plan = planAttention({ ...spec, blockMask: true }, gpu.device.limits, gpu.profile);
    const { batch, capacity } = plan.spec;
    await checkModsCompile(gpu, plan.spec);
    return await Owned.make(async (owned) => {
      const { rows, tokens, columns } = maskBlocks(plan);
      const shape = [batch + rows * tokens * columns];
      const states = owned.keep(
        await Tensor.empty(gpu, shape, { dtype: "u32", label: "block mask" }),
      );
      const fullLengths = await gpu.guard(
        "allocate a block mask",
        () => owned.keep(filledBuffer(gpu.device, batch, capacity)),
      );
      const executor = await createExecutor(gpu, owned, programOf(plan, gpu.profile));
      return new BlockMask(gpu, plan, { owned, executor, fullLengths, states });
    });
  }

  /** The states, as attention reads them. */
  get buffer(): GPUBuffer {
    return this.#states.buffer;
  }

  /**
   * Encodes the mask once. For the same tensors over and over, {@linkcode BlockMask.bind} them.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tensors What to read.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type.
   * @throws {RangeError} If a shape does not match the plan.
   */
  encode(
    target: GPUCommandEncoder | GPUComputePassEncoder,
    tensors: BlockMaskTensors = {},
  ): void {
    this.bind(tensors).encode(target);
  }

  /**
   * Checks and binds the tensors of a loop once: see {@linkcode BlockMask.encode}.
   *
   * @param tensors What each encoding reads. They and the block mask must outlive what is returned.
   * @returns The mask over these tensors, to be encoded as often as one likes.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type.
   * @throws {RangeError} If a shape does not match the plan.
   */
  bind(tensors: BlockMaskTensors = {}): BoundWork {
    checkObject(ACTION, "tensors", tensors);
    const { gpu, plan: { spec } } = this;
    const { cache, lengths, modTensors } = tensors;
    if (lengths) {
      checkTensor(ACTION, "lengths", lengths, { gpu, shape: [spec.batch], dtype: "u32" });
    }
    if (cache && lengths) {
      throw new TypeError(sentence(ACTION, "a cache has lengths of its own", { lengths }));
    }
    checkModTensors(ACTION, gpu, { maskMod: spec.maskMod }, modTensors);
    return boundWork(this.#executor.bind({
      lengths: cache ? this.#lengthsOf(cache) : lengths?.buffer ?? this.#fullLengths,
      blocks: this.buffer,
      ...modBuffers({ maskMod: spec.maskMod }, modTensors),
    }, []));
  }

  /**
   * Counts the blocks, as of the work that was submitted: a wait for the GPU.
   *
   * @returns Blocks that nobody sees, that are seen as a whole, and the others; as a whole means all that `causal` and the
   * windows let a query see.
   * @throws {DeviceLostError} If the device is lost.
   */
  async counts(): Promise<{ hidden: number; whole: number; partial: number }> {
    const states = (await this.#states.download()).subarray(this.plan.spec.batch);
    const count = (state: number) => states.reduce((sum, x) => sum + Number(x === state), 0);
    return { hidden: count(1), whole: count(2), partial: count(0) };
  }

  /** Frees its memory. */
  destroy(): void {
    this.#owned.destroy();
  }

  #lengthsOf(cache: NonNullable<BlockMaskTensors["cache"]>): GPUBuffer {
    const { spec } = this.plan;
    if (cache.gpu?.device !== this.gpu.device) {
      throw new TypeError(sentence(ACTION, "the cache must live on the same device", { cache }));
    }
    for (const name of ["batch", "capacity", "sinks"] as const) {
      if (cache.spec[name] === spec[name]) continue;
      const rule = `the cache must have the planned ${name} (spread cache.spec)`;
      const values = { [name]: spec[name], [`cache.spec.${name}`]: cache.spec[name] };
      throw new RangeError(sentence(ACTION, rule, values));
    }
    return cache.lengthsBuffer;
  }
}

/** The module that computes the states. */
export function blockMaskModule(
  { spec }: Pick<PlanBase, "spec">,
  profile: DeviceProfile,
): WgslModule {
  const { maskMod } = spec;
  const { columnLanes, tokenLanes, laneColumns, laneTokens } = blockLanes(spec, profile);
  return join(
    "block mask",
    ...contextPieces(spec),
    blocksPiece(spec),
    ...modPieces("maskMod", { maskMod }),
    {
      constants: {
        WORKGROUP: columnLanes * tokenLanes,
        COLUMN_LANES: columnLanes,
        TOKEN_LANES: tokenLanes,
        LANE_COLUMNS: laneColumns,
        LANE_TOKENS: laneTokens,
      },
      fragments: [wgsl.blockMask],
    },
  );
}

function programOf(plan: AttentionPlan, profile: DeviceProfile): Program {
  const { rows, tokens, columns } = maskBlocks(plan);
  const { maskMod } = plan.spec;
  return {
    modules: { blockMask: blockMaskModule(plan, profile) },
    params: [{ kernel: "blockMask", values: paramsOf(plan) }],
    uniforms: uniformsOf({ ...plan, spec: { ...plan.spec, scoreMod: undefined, maskMod } }),
    scratch: {},
    dispatches: [{ kernel: "blockMask", grid: [columns, tokens, rows], params: 0, part: 0 }],
  };
}

/** Options of an attention that the blocks of its mask depend on. */
const DECIDING = [
  ...["batch", "seqLen", "capacity", "sinks", "causal", "alignment", "window", "windowRight"],
  "maskMod",
] as const;

/** Throws unless a block mask is given where one is planned, and is that of the attention. */
export function checkBlockMask(
  action: string,
  gpu: Gpu,
  plan: AttentionPlan,
  blockMask: BlockMask | undefined,
): void {
  if (!plan.spec.blockMask) {
    if (blockMask === undefined) return;
    const rule = "blockMask must be planned (blockMask: true) when the attention is created";
    throw new TypeError(sentence(action, rule, { planned: false }));
  }
  if (!(blockMask instanceof BlockMask)) {
    throw new TypeError(sentence(action, "blockMask must be a BlockMask", { blockMask }));
  }
  if (blockMask.gpu.device !== gpu.device) {
    throw new TypeError(sentence(action, "blockMask must live on the same device", { blockMask }));
  }
  const [own, other] = [plan.spec, blockMask.plan.spec];
  const names = isPerHead(own) ? ["numHeads", ...DECIDING] as const : DECIDING;
  for (const name of names) {
    if (JSON.stringify(own[name]) === JSON.stringify(other[name])) continue;
    const rule = `blockMask must be of the same ${name} as the attention`;
    const values = { [name]: own[name], [`of blockMask`]: other[name] };
    throw new RangeError(sentence(action, rule, values));
  }
}
