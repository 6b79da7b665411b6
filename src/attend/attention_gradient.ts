import { checkObject } from "../base/check.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { checkGpu, type Gpu } from "../gpu/device.ts";
import { Owned } from "../gpu/owned.ts";
import { type AttentionGradientPlan, planAttentionGradient } from "../plan/backward.ts";
import { ACTION as PLAN, type AttentionGradientSpec } from "../plan/backward_spec.ts";
import { checkModsCompile } from "../score/compile_mods.ts";
import { checkDtype } from "../tensor/tensor.ts";
import { createExecutor, type Executor } from "./executor.ts";
import { gradientProgram } from "./gradient_program.ts";
import { type AttentionGradientTensors, buffersOf } from "./gradient_tensors.ts";
import { filledBuffer } from "./filled_buffer.ts";

const ACTION = "encode the gradient of attention";

/**
 * The gradient of an attention of one shape on one device, ready to be encoded as often as one likes: from the gradient `dO`
 * of a loss by the output to those by queries, keys and values. With the weights `w = exp(s - lse)` of a query row,
 *
 *   D = dO . o    ds[j] = w[j] (dO . v[j] - D)    dq = scale sum_j ds[j] k[j]    dk[j] = scale sum_i ds[i, j] q[i]
 *   dv[j] = sum_i w[i, j] dO[i]
 *
 * where sums over i go over the tokens of all query heads that share the KV head. Weights are computed anew from the
 * log-sum-exp, so that no matrix of queries by keys is ever stored, and keys and values are read where they lie, once for a
 * whole group (FlashAttention-2: Dao 2023, arXiv 2307.08691). Every sum has one owner: two runs give the same bits.
 *
 * What a query sees, and how strongly, is whatever `ScoreSpec` says, as in {@linkcode Attention}. A row that sees nothing
 * gives zero.
 *
 * @example
 * ```ts
 * import { Attention, AttentionGradient, Gpu, Tensor } from "@onehead/attention";
 *
 * const gpu = await Gpu.open();
 * const spec = { numHeads: 2, numKvHeads: 1, headDim: 4, seqLen: 3, capacity: 3 };
 * const attention = await Attention.create(gpu, { ...spec, outputs: ["lse"] });
 * const gradient = await AttentionGradient.create(gpu, spec);
 * const random = async (...shape: number[]) => {
 *   const data = Array.from({ length: shape.reduce((a, b) => a * b) }, Math.random);
 *   return await Tensor.upload(gpu, { data, shape });
 * };
 * const read = { q: await random(1, 3, 2, 4), k: await random(1, 3, 1, 4), v: await random(1, 3, 1, 4) };
 * const outputs = { o: await random(1, 3, 2, 4), lse: await random(1, 3, 2) };
 * const dO = await random(1, 3, 2, 4);
 * const gradients = {
 *   dq: await random(1, 3, 2, 4),
 *   dk: await random(1, 3, 1, 4),
 *   dv: await random(1, 3, 1, 4),
 * };
 *
 * const encoder = gpu.device.createCommandEncoder();
 * attention.encode(encoder, { ...read, ...outputs });
 * gradient.encode(encoder, { ...read, ...outputs, dO, ...gradients });
 * gpu.device.queue.submit([encoder.finish()]);
 * console.log(await gradients.dk.download()); // 12 numbers: of one key head, summed over both query heads
 * gpu.destroy();
 * ```
 */
export class AttentionGradient {
  /** Where it runs. */
  readonly gpu: Gpu;
  /** Its plan. */
  readonly plan: AttentionGradientPlan;

  readonly #owned: Owned;
  readonly #executor: Executor;
  readonly #fullLengths: GPUBuffer;

  private constructor(
    gpu: Gpu,
    plan: AttentionGradientPlan,
    made: { owned: Owned; executor: Executor; fullLengths: GPUBuffer },
  ) {
    this.gpu = gpu;
    this.plan = plan;
    this.#owned = made.owned;
    this.#executor = made.executor;
    this.#fullLengths = made.fullLengths;
  }

  /**
   * Plans, compiles what is not compiled yet, and allocates the scratch.
   *
   * @param gpu Where to run.
   * @param spec Shapes and options, those of the attention.
   * @returns The gradient. Destroy it with {@linkcode AttentionGradient.destroy}.
   * @throws {TypeError} If a value is of the wrong kind, or has no gradient: integers, pages, values that are keys, a
   * `scoreMod` without `grad`.
   * @throws {RangeError} If a value is out of range, heads do not divide, the device lacks the element type, or a limit of
   * the device is exceeded.
   * @throws {WgslError} If `scoreMod` or `maskMod` does not compile.
   * @throws {GpuWorkError} If the device refuses the memory or a kernel.
   *
   * @example Bytes of scratch are known before anything runs
   * ```ts
   * import { AttentionGradient, Gpu } from "@onehead/attention";
   *
   * const gpu = await Gpu.open();
   * const spec = { numHeads: 8, numKvHeads: 1, headDim: 16, seqLen: 64, capacity: 64 };
   * const gradient = await AttentionGradient.create(gpu, { ...spec, window: 16 });
   * console.log(gradient.plan.scratchBytes); // 16384: D and lse of each row, and dk and dv in f32
   * gradient.destroy();
   * gpu.destroy();
   * ```
   */
  static async create(gpu: Gpu, spec: AttentionGradientSpec): Promise<AttentionGradient> {
    checkGpu(PLAN, gpu);
    const plan = planAttentionGradient(spec, gpu.device.limits, gpu.profile);
    const { dtype, kvDtype, batch, capacity } = plan.spec;
    checkDtype(gpu, PLAN, dtype);
    checkDtype(gpu, PLAN, kvDtype, "kvDtype");
    await checkModsCompile(gpu, plan.spec);
    return await Owned.make(async (owned) => {
      const fullLengths = await gpu.guard(
        "allocate the gradient of attention",
        () => owned.keep(filledBuffer(gpu.device, batch, capacity)),
      );
      const executor = await createExecutor(gpu, owned, gradientProgram(plan, gpu.device.limits));
      return new AttentionGradient(gpu, plan, { owned, executor, fullLengths });
    });
  }

  /**
   * Encodes the gradient once. For the same tensors over and over, {@linkcode AttentionGradient.bind} them.
   *
   * @param target The encoder or compute pass to encode into; nothing is submitted.
   * @param tensors What to read and write.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type, or read and written at once.
   * @throws {RangeError} If a shape does not match the plan.
   */
  encode(
    target: GPUCommandEncoder | GPUComputePassEncoder,
    tensors: AttentionGradientTensors,
  ): void {
    this.bind(tensors).encode(target);
  }

  /**
   * Checks and binds the tensors of a loop once: see {@linkcode AttentionGradient.encode}.
   *
   * @param tensors What each encoding reads and writes. They and the gradient must outlive what is returned.
   * @returns The gradient over these tensors, to be encoded as often as one likes.
   * @throws {TypeError} If a tensor is missing, of another device or of another element type, or read and written at once.
   * @throws {RangeError} If a shape does not match the plan.
   */
  bind(tensors: AttentionGradientTensors): BoundWork {
    checkObject(ACTION, "tensors", tensors);
    const buffers = buffersOf(ACTION, this.gpu, this.plan, { ...tensors }, this.#fullLengths);
    const { k, v, ...others } = buffers;
    return boundWork(this.#executor.bind(others, [{ k, v }]));
  }

  /** Frees the scratch. */
  destroy(): void {
    this.#owned.destroy();
  }
}
