import { namesOf } from "../../src/gpu/wgsl_names.ts";
import type { KernelText } from "../../tools/kernels.ts";

/**
 * What a text of the kernels needs: other roles, then names that its module gives, as no role declares them or several do.
 */
export function needsOf({ text, role }: KernelText, all: readonly KernelText[]): string[] {
  const names = [...namesOf(text).needed].map((name) => {
    const declaring = all.filter(({ text }) => namesOf(text).declared.has(name));
    const roles = [...new Set(declaring.map(({ role }) => role))];
    return roles.length === 1 && roles[0] !== role ? { role: roles[0] } : { name };
  });
  const roles = new Set(names.flatMap(({ role }) => role ?? []));
  const others = names.flatMap(({ name }) => name ?? []).filter((name) => !roles.has(name));
  return [...[...roles].sort(), ...others.sort()];
}

/** What the head of a text says that it needs, in lines from "// Needs" to the end of the sentence. */
export function saidNeeds({ source }: KernelText): string[] {
  const [, said = ""] = source.match(/^\/\/ Needs ([^.]*)\.$/m) ?? [];
  return said.replaceAll("\n// ", " ").split(", ").filter(Boolean);
}
