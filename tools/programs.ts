// Other programs, and what they print.

/**
 * Runs a program to its end, and returns what it printed.
 *
 * @param program Its name or path.
 * @param args Its arguments.
 * @param options Where it runs, and what is added to the environment.
 * @throws {Error} If it fails: with what it printed.
 * @throws {Deno.errors.NotFound} If there is no such program.
 */
export async function outputOf(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env" | "signal"> = {},
): Promise<string> {
  const command = new Deno.Command(program, { ...options, args: [...args], stdin: "null" });
  const { code, stdout, stderr } = await command.output();
  const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
  if (code === 0) return out;
  const said = [out, err].map((text) => text.trim()).filter(Boolean).join("\n");
  throw new Error(`${program} ${args[0] ?? ""} exited with ${code}: ${said}`);
}
