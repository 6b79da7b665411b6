/** The inside of a feed-forward layer, kept apart from its projections for the backward pass, and its gradients. */
import * as wgsl from "../../kernels/mod.ts";
import { type BoundWork, boundWork, gridOfRows } from "../gpu/bound_work.ts";
import { join, type WgslModule } from "../gpu/compose.ts";
import type { Gpu } from "../gpu/device.ts";
import { KeptBuffers } from "../gpu/kept_buffers.ts";
import { type Buffers, Kernel } from "../gpu/kernel.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import { packSize } from "../tensor/loads.ts";
import { storedPackPiece } from "../tensor/pieces.ts";
import type { LinearActivation } from "./linear.ts";

const WORKGROUP = 64;

/** The module that activates the inside of a feed-forward layer, or that of its gradients. */
export function insideModule(
  { kind, isGated }: LinearActivation,
  direction: "forward" | "backward",
  pack: 1 | 4,
  profile: Pick<DeviceProfile, "longLoads">,
): WgslModule {
  const { inside } = wgsl;
  const visit = direction === "forward"
    ? isGated ? inside.gated : inside.activated
    : isGated
    ? inside.gatedGradient
    : inside.activatedGradient;
  return join("inside", storedPackPiece(pack, profile), {
    types: { Activated: "Wide" },
    constants: { WORKGROUP },
    fragments: [wgsl.activation[kind], visit, wgsl.eachLength, wgsl.each],
  });
}

/** The activation between the projections of a feed-forward layer: `activation(gate) up`, or `activation(up)`. */
export class Inside {
  readonly #gpu: Gpu;
  readonly #activation: LinearActivation;
  readonly #params = new KeptBuffers();

  constructor(gpu: Gpu, activation: LinearActivation) {
    this.#gpu = gpu;
    this.#activation = activation;
  }

  /** Binds `length` elements of `gate` (if it is gated) and `up` to `y`. */
  async bind(buffers: Buffers, length: number): Promise<BoundWork> {
    return await this.#bind("forward", buffers, length);
  }

  /** Binds `length` elements of `gate` (if it is gated), `up` and `dy` to `dGate` (if it is gated) and `dUp`. */
  async bindGradient(buffers: Buffers, length: number): Promise<BoundWork> {
    return await this.#bind("backward", buffers, length);
  }

  destroy(): void {
    this.#params.destroy();
  }

  async #bind(
    direction: "forward" | "backward",
    buffers: Buffers,
    length: number,
  ): Promise<BoundWork> {
    const { device, profile } = this.#gpu;
    const pack = packSize(length);
    const packs = length / pack;
    const module = insideModule(this.#activation, direction, pack, profile);
    const kernel = await Kernel.compile(this.#gpu, module);
    const params = this.#params.get(`${packs} packs`, () => kernel.uniform({ length: packs }));
    const { maxComputeWorkgroupsPerDimension } = device.limits;
    const grid = gridOfRows(Math.ceil(packs / WORKGROUP), maxComputeWorkgroupsPerDimension);
    return boundWork([kernel.bind({ ...buffers, params }, grid)]);
  }
}
