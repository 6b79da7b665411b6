// Adapters in place of the machine's, whose devices can be lost.

/** Adapters that are given out while `test` runs: whether there is one, and how to lose the device that was opened last. */
export async function withAdapters(
  test: (adapters: { areThere: boolean; lose(): void }) => Promise<void>,
): Promise<void> {
  const { gpu } = navigator;
  const { requestAdapter } = gpu;
  let newest: GPUDevice | undefined;
  // By the prototype's: what the library put in its place would tell of the loss at once, as no driver does.
  const adapters = { areThere: true, lose: () => GPUDevice.prototype.destroy.call(newest) };
  gpu.requestAdapter = async (options) => {
    if (!adapters.areThere) return null;
    const adapter = (await requestAdapter.call(gpu, options))!;
    const requestDevice = adapter.requestDevice.bind(adapter);
    adapter.requestDevice = async (descriptor) => newest = await requestDevice(descriptor);
    return adapter;
  };
  try {
    await test(adapters);
  } finally {
    gpu.requestAdapter = requestAdapter;
  }
}
