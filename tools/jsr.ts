// Can the JSR packages of deno.json be had here?

type Imports = Record<string, string>;

/**
 * The JSR specifiers of deno.json's imports, with the paths that the stand-ins' names have beyond them. Pure.
 *
 * @param imports The `imports` of deno.json.
 * @param standIns The `imports` of the offline import map.
 */
export function jsrSpecifiers(imports: Imports, standIns: Imports): string[] {
  const packages = Object.entries(imports).filter(([, target]) => target.startsWith("jsr:"));
  return packages.flatMap(([name, target]) =>
    Object.keys(standIns)
      .filter((standIn) => `${standIn}/`.startsWith(`${name}/`))
      .map((standIn) => target + standIn.slice(name.length))
  );
}

/**
 * Whether Deno has these modules in its cache, or gets them in time.
 *
 * @param specifiers The modules.
 * @param timeout How long to wait, in milliseconds.
 */
export async function jsrAnswers(specifiers: string[], timeout = 5000): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", "--no-config", ...specifiers],
    stdin: "null",
    stdout: "null",
    stderr: "null",
    signal: AbortSignal.timeout(timeout),
  }).output();
  return success;
}
