/**
 * Imports a package of npm by a name that is not analysed, so that it is fetched when somebody asks for it, and never else.
 *
 * @param name The package with its version: "npm:@jax-js/jax@0.1.25".
 * @throws {Error} If that fails; the message says why, and what to do where the package cannot be fetched.
 */
// deno-lint-ignore no-explicit-any
export async function importPackage(name: string): Promise<any> {
  try {
    return await import(name);
  } catch (cause) {
    throw new Error(
      `${name} cannot be imported (what is not here yet is fetched from npm's registry: let this machine reach it once, ` +
        `or do without the peers): ${(cause as Error).message}`,
      { cause },
    );
  }
}
