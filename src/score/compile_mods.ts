/** Compiles functions of the caller's by themselves, so that an error is about a line of their text. */
import { cutMessage } from "../base/excerpt.ts";
import { GpuWorkError, WgslError } from "../base/errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { modAlone } from "./mod_pieces.ts";
import type { ModKind } from "./mod_text.ts";
import type { FilledMod, Mods } from "./score_mod.ts";

/** Throws a `WgslError` for the first function that does not compile. */
export async function checkModsCompile(gpu: Gpu, mods: Mods): Promise<void> {
  for (const kind of ["scoreMod", "maskMod"] as const) {
    const mod = mods[kind];
    if (mod) await checkCompiles(gpu, kind, mod);
  }
}

async function checkCompiles(gpu: Gpu, kind: ModKind, mod: FilledMod): Promise<void> {
  const action = `compile ${kind} "${mod.name}"`;
  let module: GPUShaderModule | undefined;
  try {
    await gpu.guard(action, () => {
      module = gpu.device.createShaderModule({ label: mod.name, code: modAlone(mod) });
    });
  } catch (error) {
    if (!(error instanceof GpuWorkError) || !module) throw error;
    const { messages } = await gpu.waitFor(module.getCompilationInfo());
    const [first] = messages.filter(({ type }) => type === "error");
    const lines = mod.wgsl.split("\n");
    // Behind the text come the declarations of what it reads.
    const line = first && first.lineNum <= lines.length ? first.lineNum : undefined;
    const where = line === undefined ? "it" : `line ${line} ("${lines[line - 1].trim()}")`;
    const said = reasonOf(first?.message ?? error.message);
    throw new WgslError(cutMessage(`Cannot ${action} as WGSL refuses ${where}: ${said}`), line);
  }
}

/** What a compiler says, without the excerpt that some draw and the name that they give the text. */
function reasonOf(message: string): string {
  const lines = message.split("\n").map((line) => line.trim());
  const said = lines.filter((line) => line !== "" && !/^(\d|[│┌╭╰])/.test(line));
  return said.map((line) => line.replace(/^(Shader '.*?' .*? error: |= (note: )?)/, "")).join("; ");
}
