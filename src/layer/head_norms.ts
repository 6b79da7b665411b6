/** Norms of queries and keys, in one dispatch that rotates the queries as well. */
import * as wgsl from "../../kernels/mod.ts";
import { lanesPiece } from "../attend/pieces.ts";
import { type QueryRotation, ropePiece } from "../cache/rope_kernel.ts";
import { type BoundWork, boundWork } from "../gpu/bound_work.ts";
import { join, type WgslModule, type WgslPiece } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { Kernel } from "../gpu/kernel.ts";
import type { Tensor } from "../tensor/tensor.ts";
import { normLanes } from "./norm.ts";

/** The queries and keys of new tokens [..., heads, headDim] as they are projected, and where they go. */
export interface HeadRows {
  projectedQ: Tensor;
  projectedK: Tensor;
  q: Tensor;
  k: Tensor;
}

/** The module that normalises heads, each by `lanes` lanes; without a rotation, queries keep no positions. */
export function headNormsModule(
  { headDim, lanes, rotation }: {
    headDim: number;
    lanes: number;
    rotation?: Pick<QueryRotation, "filled" | "arrangement">;
  },
  { subgroupSize }: { subgroupSize: number },
): WgslModule {
  return join(
    "norm heads",
    lanesPiece(lanes, { shuffles: lanes <= subgroupSize }),
    ...queryPieces(rotation),
    {
      // One sum at a time is shared.
      constants: { WIDTH: headDim, LANES: lanes, WORKGROUP: lanes, ROWS: 1 },
      fragments: [wgsl.normHeads],
    },
  );
}

/** Declares `putQuery`: whether queries are rotated, and to which positions. */
function queryPieces(
  rotation: Pick<QueryRotation, "filled" | "arrangement"> | undefined,
): WgslPiece[] {
  if (!rotation) return [{ fragments: [wgsl.putQuery.plain] }];
  const { filled, arrangement } = rotation;
  const tokens = arrangement === "ragged" ? [wgsl.newTokens] : [];
  const fragments = [...tokens, wgsl.tokenPositions[arrangement], wgsl.putQuery.rotated];
  return [ropePiece(filled), { fragments }];
}

/** The norms of a layer's queries and keys, whose gains are on the device and stay the caller's. */
export class HeadNorms {
  readonly #gpu: Gpu;
  readonly #gains: { q: Tensor; k: Tensor };
  readonly #eps: number;
  readonly #params = new KeptBuffers();

  /** @param gains f32 [headDim] each. */
  constructor(gpu: Gpu, gains: { q: Tensor; k: Tensor }, eps: number) {
    this.#gpu = gpu;
    this.#gains = gains;
    this.#eps = eps;
  }

  /** Bytes of the gains. */
  get bytes(): number {
    return this.#gains.q.bytes + this.#gains.k.bytes;
  }

  /** Compiles the kernel, and binds the rows of `numTokens` tokens, whose queries are rotated where that is asked for. */
  async bind(
    { projectedQ, projectedK, q, k }: HeadRows,
    numTokens: number,
    rotation?: QueryRotation,
  ): Promise<BoundWork> {
    const { profile, device: { limits } } = this.#gpu;
    const headDim = this.#gains.q.length;
    const module = headNormsModule({ headDim, lanes: normLanes(profile), rotation }, profile);
    const kernel = await Kernel.compile(this.#gpu, module);
    const [numHeads, numKvHeads] = [q, k].map(({ length }) => length / headDim / numTokens);
    const batch = rotation?.batch ?? 1;
    const seqLen = numTokens / batch;
    const params = this.#params.get(
      `${numHeads} and ${numKvHeads} heads, ${seqLen} tokens`,
      () => kernel.uniform({ numHeads, numKvHeads, seqLen, eps: this.#eps }),
    );
    const buffers = {
      ...{ projectedQ: projectedQ.buffer, projectedK: projectedK.buffer, q: q.buffer, k: k.buffer },
      ...{ qGain: this.#gains.q.buffer, kGain: this.#gains.k.buffer },
      ...rotation?.buffers,
    };
    const lines = Math.min(seqLen, limits.maxComputeWorkgroupsPerDimension);
    const grid = [numHeads + numKvHeads, lines, batch] as const;
    return boundWork([kernel.bind({ ...buffers, params }, grid)]);
  }

  destroy(): void {
    this.#params.destroy();
  }
}
