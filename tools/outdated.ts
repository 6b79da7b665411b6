// Says which of the systems that the bench holds ours against have a newer version on npm.
import { SYSTEMS } from "../bench/models/systems.ts";
import { PEERS } from "../bench/peers/mod.ts";
import { Arguments } from "../cli/shared/arguments.ts";
import { formatColumns } from "../cli/shared/report/columns.ts";
import { exitCodeOf, terminal } from "../cli/shared/run.ts";

const ACTION = "look for newer versions";

const HELP =
  `Says which of the systems that the bench holds ours against have a newer version, as npm knows them.

Usage: deno task outdated [options]

  --help  this text`;

/** The newest version of a package, by the npm of this machine. */
async function newestOf(name: string): Promise<string> {
  const command = new Deno.Command("npm", { args: ["view", name, "version"] });
  const { success, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (success) return text(stdout);
  throw new Error(`Cannot ${ACTION} as npm does not know ${name}: ${text(stderr).split("\n")[0]}`);
}

Deno.exitCode = await exitCodeOf(async () => {
  const { isHelp } = new Arguments(ACTION, Deno.args, { names: [] });
  if (isHelp) return terminal.log(HELP);
  const loaded = [...PEERS, ...SYSTEMS].flatMap(({ name, npm }) => npm ? [{ name, npm }] : []);
  // Some run attention as well as models.
  const systems = new Map(loaded.map((system) => [system.name, system]));
  const rows = await Promise.all(Array.from(systems.values(), async ({ name, npm }) => {
    const newest = await newestOf(npm.name);
    return { name, newest, verdict: newest === npm.version ? "is the newest" : "is out" };
  }));
  const lines = formatColumns([
    { heading: "loaded", align: "left", cells: rows.map(({ name }) => name) },
    { heading: "newest", align: "left", cells: rows.map(({ newest }) => newest) },
    { heading: "", align: "left", cells: rows.map(({ verdict }) => verdict) },
  ]);
  terminal.log(lines.join("\n"));
}, terminal);
