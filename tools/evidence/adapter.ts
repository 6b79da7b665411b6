// Prints what the GPU of this machine is: names, features, limits, and what probing found.
import { Arguments } from "../../cli/shared/arguments.ts";
import { Files } from "../../cli/shared/files.ts";
import { exitCodeOf, terminal } from "../../cli/shared/run.ts";
import { Gpu } from "../../mod.ts";

const ACTION = "describe the adapter";

const HELP =
  `Prints what the GPU of this machine is: its name, what it grants, and what probing found.

Usage: deno task adapter [options]

  --json FILE  writes it there instead
  --help       this text`;

Deno.exitCode = await exitCodeOf(async () => {
  const given = new Arguments(ACTION, Deno.args, { names: ["json"] });
  if (given.isHelp) return terminal.log(HELP);
  const files = new Files(ACTION);
  await files.checkWritable(given.text("json"));
  const gpu = await Gpu.open();
  try {
    const { description, features, profile, device } = gpu;
    const text = JSON.stringify(
      {
        ...{ schema: 1, description, features, profile },
        deviceFeatures: [...device.features].sort(),
        limits: limitsOf(device.limits),
        wgsl: [...navigator.gpu.wgslLanguageFeatures ?? []].sort(),
      },
      null,
      2,
    );
    const json = given.text("json");
    if (json) await files.write(json, text + "\n");
    else terminal.log(text);
  } finally {
    gpu.destroy();
  }
}, terminal);

/** Limits are getters of a class, which JSON leaves out. */
function limitsOf(limits: GPUSupportedLimits): Record<string, number> {
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(limits)));
  const values: Readonly<Record<string, unknown>> = limits as never;
  return Object.fromEntries(
    names.sort().flatMap((name) => {
      const value = values[name];
      return typeof value === "number" ? [[name, value]] : [];
    }),
  );
}
