// Whether every exported function and class has an example: `deno doc --lint` does not ask for one.

import config from "../deno.json" with { type: "json" };

/** What `deno doc --json` says of a module, as far as it counts here. */
interface Documentation {
  nodes: Record<string, { symbols: { name: string; declarations: Declaration[] }[] }>;
}

interface Declaration {
  kind: string;
  jsDoc?: { tags?: { kind: string }[] };
}

const { stdout, success } = await new Deno.Command(Deno.execPath(), {
  args: ["doc", "--json", ...Object.values(config.exports)],
  stderr: "inherit",
}).output();
if (!success) Deno.exit(1);

const { nodes }: Documentation = JSON.parse(new TextDecoder().decode(stdout));
const symbols = Object.values(nodes).flatMap(({ symbols }) => symbols);
const called = symbols.filter(({ declarations }) =>
  declarations.some(({ kind }) => kind === "function" || kind === "class")
);
const bare = called.filter(({ declarations }) =>
  !declarations.some(({ jsDoc }) => jsDoc?.tags?.some(({ kind }) => kind === "example"))
);
if (called.length === 0 || bare.length > 0) {
  console.error(`Without an example: ${bare.map(({ name }) => name).join(", ") || "everything"}`);
  Deno.exit(1);
}
