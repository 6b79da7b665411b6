// The demo's server: the files of its folder, and nothing else.
import { assertEquals } from "@std/assert";
import { answer } from "../../tools/serve.ts";
import { inFolder } from "../support/checkpoint_files.ts";

async function get(folder: string, path: string, method = "GET") {
  const response = await answer(folder, new Request(`http://localhost${path}`, { method }));
  const { status, headers } = response;
  return { status, type: headers.get("content-type"), headers, text: await response.text() };
}

Deno.test("serve: files with their types, and a folder's index", async () => {
  await inFolder({ "index.html": "home", "a.mjs": "code", "b.bin": "bytes" }, async (folder) => {
    for (const base of [folder, `${folder}/`]) {
      const rows = [
        ["/", "text/html", "home"],
        ["/index.html", "text/html", "home"],
        ["/a.mjs?x=1", "text/javascript", "code"],
        ["/b.bin", "application/octet-stream", "bytes"],
      ];
      for (const [path, type, text] of rows) {
        const found = await get(base, path);
        assertEquals([found.status, found.type, found.text], [200, type, text]);
        assertEquals(found.headers.get("content-length"), `${text.length}`);
      }
    }
  });
});

Deno.test("serve: HEAD has a file's headers alone, and other methods are refused", async () => {
  await inFolder({ "a.css": "style" }, async (folder) => {
    const head = await get(folder, "/a.css", "HEAD");
    assertEquals([head.status, head.type, head.text], [200, "text/css", ""]);
    assertEquals(head.headers.get("content-length"), "5");
    assertEquals((await get(folder, "/b.css", "HEAD")).status, 404);
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      const refused = await get(folder, "/a.css", method);
      assertEquals([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
    }
  });
});

Deno.test("serve: nothing outside the folder, by dots or by links", async () => {
  await inFolder({ "secret.txt": "secret" }, async (outside) => {
    await Deno.mkdir(`${outside}/site/sub`, { recursive: true });
    // Its name begins as that of the folder does.
    await Deno.mkdir(`${outside}/site2`);
    await Deno.writeTextFile(`${outside}/site2/secret.txt`, "secret");
    const folder = `${outside}/site`;
    await Deno.writeTextFile(`${folder}/inside.txt`, "inside");
    await Deno.symlink(`${outside}/secret.txt`, `${folder}/link.txt`);
    await Deno.symlink(outside, `${folder}/up`);
    await Deno.symlink(`${outside}/site2`, `${folder}/beside`);
    await Deno.symlink(`${folder}/inside.txt`, `${folder}/within.txt`);
    await Deno.symlink(folder, `${outside}/entrance`);
    const missing = [
      "/../secret.txt",
      "/%2e%2e/secret.txt",
      "/..%2fsecret.txt",
      "/link.txt",
      "/up/secret.txt",
      "/beside/secret.txt",
      "/sub",
      "/sub/",
      "/none",
    ];
    for (const path of missing) assertEquals((await get(folder, path)).status, 404, path);
    assertEquals((await get(folder, "/within.txt")).text, "inside");
    assertEquals((await get(`${outside}/entrance`, "/inside.txt")).text, "inside");
    assertEquals((await get("/dev", "/null")).status, 404);
  });
});
