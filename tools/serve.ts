// Serves a folder as it is: `deno run --allow-read --allow-net tools/serve.ts FOLDER [PORT]`.

const TYPES: Record<string, string> = {
  css: "text/css",
  html: "text/html",
  js: "text/javascript",
  mjs: "text/javascript",
  svg: "image/svg+xml",
};

/** Serves the files of a folder, on this machine alone; without a port, on one that is free. */
export function serveFolder(folder: string, port = 0) {
  const base = folder.replace(/\/*$/, "/");
  const handle = async ({ url }: Request) => {
    // URLs have no "..", and what is escaped in them stays so: no path leads out of the folder.
    const name = new URL(url).pathname.replace(/\/$/, "/index.html");
    try {
      const type = TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream";
      const headers = { "content-type": type, "cache-control": "no-cache" };
      return new Response((await Deno.open(base + name.slice(1))).readable, { headers });
    } catch {
      return new Response("not found", { status: 404 });
    }
  };
  const server = Deno.serve({ hostname: "127.0.0.1", port, onListen: () => {} }, handle);
  return { server, address: `http://127.0.0.1:${server.addr.port}/` };
}

if (import.meta.main) {
  const [folder = ".", port = "8000"] = Deno.args;
  console.log(`${folder} is at ${serveFolder(folder, Number(port)).address} (Ctrl-C ends it)`);
}
