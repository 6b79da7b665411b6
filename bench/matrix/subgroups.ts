/**
 * Devices with subgroups for systems that open their own. Deno grants subgroups without listing them, so that systems that
 * ask only for what is listed, as browsers list it, would never use them; and its compiler refuses the directive that
 * browsers want.
 */

/** While the work lasts, every device that is opened has subgroups, and takes modules written for browsers. */
export async function withSubgroups<Result>(work: () => Promise<Result>): Promise<Result> {
  const { prototype } = GPUAdapter;
  const { requestDevice } = prototype;
  prototype.requestDevice = async function (descriptor = {}) {
    const requiredFeatures = [...descriptor.requiredFeatures ?? [], "subgroups" as const];
    const device = await requestDevice.call(this, { ...descriptor, requiredFeatures });
    const createShaderModule = device.createShaderModule.bind(device);
    device.createShaderModule = (module) =>
      createShaderModule({ ...module, code: module.code.replace("enable subgroups;", "") });
    return device;
  };
  try {
    return await work();
  } finally {
    prototype.requestDevice = requestDevice;
  }
}
