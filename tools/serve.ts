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
  const options = { hostname: "127.0.0.1", port, onListen: () => {} };
  const server = Deno.serve(options, (request) => answer(folder, request));
  return { server, address: `http://127.0.0.1:${server.addr.port}/` };
}

/** Answers a request for a file of the folder. */
export async function answer(folder: string, { method, url }: Request): Promise<Response> {
  if (method !== "GET" && method !== "HEAD") {
    return new Response("only GET and HEAD", { status: 405, headers: { allow: "GET, HEAD" } });
  }
  const name = new URL(url).pathname.replace(/\/$/, "/index.html");
  const file = await openWithin(folder, name);
  if (!file) return new Response("not found", { status: 404 });
  const headers = {
    "content-type": TYPES[name.slice(name.lastIndexOf(".") + 1)] ?? "application/octet-stream",
    "content-length": `${file.size}`,
    "cache-control": "no-cache",
  };
  if (method === "GET") return new Response(file.opened.readable, { headers });
  file.opened.close();
  return new Response(null, { headers });
}

/** Opens a file whose real place is in the folder: a link may lead out of it. */
async function openWithin(folder: string, name: string) {
  try {
    const root = await Deno.realPath(folder);
    const path = await Deno.realPath(`${root}${name}`);
    const { isFile, size } = await Deno.stat(path);
    if (!isFile || !path.startsWith(root.replace(/\/?$/, "/"))) return undefined;
    return { opened: await Deno.open(path), size };
  } catch {
    return undefined;
  }
}

if (import.meta.main) {
  const [folder = ".", port = "8000"] = Deno.args;
  console.log(`${folder} is at ${serveFolder(folder, Number(port)).address} (Ctrl-C ends it)`);
}
