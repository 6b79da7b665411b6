// The package for npm, without building it: its package.json and its page. `deno task runtimes` builds and uses it.
import { assertEquals } from "@std/assert";
import { manifestOf, withAbsoluteLinks } from "../../tools/package.ts";

const REPOSITORY = "https://example.org/a/b";

Deno.test("manifestOf: keeps what is packed, and adds where the source is", () => {
  const entry = { types: "./mod.d.ts", import: "./mod.js" };
  const manifest = manifestOf({ name: "a", exports: { ".": entry } }, REPOSITORY);
  assertEquals([manifest.name, manifest.exports["."], manifest.sideEffects], ["a", entry, false]);
  assertEquals(manifest.repository, { type: "git", url: `git+${REPOSITORY}.git` });
});

Deno.test("manifestOf: packages that only the entry of clusters needs are installed by who imports it", () => {
  const [core, nats] = [{ "@huggingface/tokenizers": "^0.2.0" }, { "@nats-io/jetstream": "3.4.0" }];
  const manifest = manifestOf({ exports: {}, dependencies: { ...core, ...nats } }, REPOSITORY);
  assertEquals([manifest.dependencies, manifest.peerDependencies], [core, nats]);
  assertEquals(manifest.peerDependenciesMeta, { "@nats-io/jetstream": { optional: true } });
});

Deno.test("withAbsoluteLinks: relative links and images lead to the repository, all else stays", () => {
  const changed = {
    "see [a `b`](docs/a.md#b).": `see [a \`b\`](${REPOSITORY}/blob/v1/docs/a.md#b).`,
    "![a, b](c.svg)": `![a, b](${REPOSITORY}/raw/v1/c.svg)`,
    "[two\nlines](a.md)": `[two\nlines](${REPOSITORY}/blob/v1/a.md)`,
  };
  for (const [before, after] of Object.entries(changed)) {
    assertEquals(withAbsoluteLinks(before, REPOSITORY, "v1"), after);
  }
  const kept = [
    "[a](https://example.org/x)",
    "[a](#below)",
    "`[a](b)`",
    "```ts\nconst a = [b](c);\n```",
  ];
  for (const text of kept) assertEquals(withAbsoluteLinks(text, REPOSITORY, "v1"), text);
});

Deno.test("withAbsoluteLinks: what the README links to is in the repository", () => {
  const readme = Deno.readTextFileSync("README.md");
  const absolute = withAbsoluteLinks(readme, REPOSITORY, "v1");
  const targets = [
    ...absolute.matchAll(/https:\/\/example\.org\/a\/b\/(?:raw|blob)\/v1\/([^)#]+)/g),
  ];
  assertEquals(targets.length > 10, true, `it has ${targets.length} links`);
  for (const [, path] of targets) Deno.statSync(path);
  const relative = [...absolute.matchAll(/\]\((?!https?:|#)[^)]*\)/g)].map(([link]) => link);
  assertEquals(relative, []);
});
