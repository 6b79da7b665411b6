/** Runs a program on a device: compiled kernels, and the buffers that belong to them. */
import type { Dispatch } from "../gpu/bound_work.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Bindable, type Buffers, Kernel } from "../gpu/kernel.ts";
import type { Owned } from "../gpu/owned.ts";
import { sharedTexture } from "../gpu/shared_textures.ts";
import { canBeUniform, USAGE } from "../gpu/usage.ts";
import { TEXELS_WIDE } from "../plan/texels.ts";
import type { Program } from "./program.ts";

/** Keys and values, a part of them in each buffer; no values where they are keys. */
export type KvBuffers = readonly { readonly k: GPUBuffer; readonly v?: GPUBuffer }[];

/** A program made ready on a device. */
export interface Executor {
  /** Binds the buffers of one attention: its dispatches, in order. */
  bind(buffers: Buffers, kv: KvBuffers): Dispatch[];
}

/** Compiles the kernels of a program and makes its buffers, which `owned` keeps. */
export async function createExecutor(
  gpu: Gpu,
  owned: Owned,
  program: Program,
): Promise<Executor> {
  const compiling = Object.entries(program.modules).map(
    async ([name, module]) => [name, await Kernel.compile(gpu, module)] as const,
  );
  const kernels = Object.fromEntries(await Promise.all(compiling));
  const { params, own } = await gpu.guard("allocate attention", () => ({
    params: program.params.map(({ kernel, values }) => owned.keep(kernels[kernel].uniform(values))),
    own: ownBuffers(gpu, owned, program),
  }));
  const textures = await texturesOf(gpu, owned, program);
  return {
    bind(given, kv) {
      const buffers = { ...given, ...own };
      return program.dispatches.map(({ kernel, grid, part, params: index, ...named }) => {
        const { renamed = {}, ranges = {}, stored } = named;
        const whole: Record<string, GPUBuffer> = { ...buffers, ...kv[part], params: params[index] };
        const bound: Record<string, Bindable> = { ...whole };
        for (const [variable, name] of Object.entries(renamed)) {
          bound[variable] = textures[name] ?? whole[name];
        }
        for (const [variable, range] of Object.entries(ranges)) {
          bound[variable] = { buffer: whole[variable], ...range };
        }
        const areUniforms = Object.keys(ranges).every((variable) => canBeUniform(whole[variable]));
        return kernels[stored && !areUniforms ? stored : kernel].bind(bound, grid);
      });
    },
  };
}

/** The textures of a program: it fills them before it reads them, so that programs share what is large enough. */
async function texturesOf(
  gpu: Gpu,
  owned: Owned,
  { textures = {} }: Program,
): Promise<Record<string, GPUTexture>> {
  const shared = Object.entries(textures).map(async ([name, lines]) => {
    const size = [TEXELS_WIDE, lines] as const;
    return [name, await sharedTexture(gpu, owned, `attention ${name}`, size)] as const;
  });
  return Object.fromEntries(await Promise.all(shared));
}

/** The scratch of a program, and its uniforms beside `params`. */
function ownBuffers({ device }: Gpu, owned: Owned, { scratch, uniforms }: Program): Buffers {
  const buffers: Record<string, GPUBuffer> = {};
  for (const [name, size] of Object.entries(scratch)) {
    const usage = USAGE.storage | USAGE.uniform;
    buffers[name] = owned.keep(device.createBuffer({ label: "attention scratch", size, usage }));
  }
  for (const [name, bytes] of Object.entries(uniforms)) {
    const buffer = owned.keep(device.createBuffer({
      label: `attention ${name}`,
      size: bytes.byteLength,
      usage: USAGE.uniform,
      mappedAtCreation: true,
    }));
    new Uint8Array(buffer.getMappedRange()).set(new Uint8Array(bytes));
    buffer.unmap();
    buffers[name] = buffer;
  }
  return buffers;
}
