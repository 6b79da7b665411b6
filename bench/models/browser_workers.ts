/** Workers as in browsers, for systems that are made for these alone. */

/**
 * From now on, workers of this process and theirs begin without `process`, which is taken for a sign of Node, and are all
 * modules, as Deno has no others. It is called here, and by its text at the beginning of each worker: it must not refer to
 * anything of this file but itself.
 */
export function workAsInBrowsers({ isWorker = false } = {}): void {
  if (isWorker) Reflect.deleteProperty(globalThis, "process");
  const Own = globalThis.Worker;
  globalThis.Worker = class extends Own {
    constructor(url: string | URL, options?: WorkerOptions) {
      super(url, { ...options, type: "module" });
    }
  };
  const create = URL.createObjectURL;
  URL.createObjectURL = (blob: Blob) => {
    const { type } = blob;
    if (type !== "text/javascript") return create(blob);
    return create(new Blob([`(${workAsInBrowsers})({ isWorker: true });\n`, blob], { type }));
  };
}
