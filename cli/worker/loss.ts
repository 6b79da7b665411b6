import { DeviceLostError, type Gpu } from "../../mod.ts";

/** Fails when the GPU is lost: what a worker held there is gone. A GPU that is destroyed is lost too, once nobody waits. */
export async function lossOf({ device }: Gpu, action: string): Promise<never> {
  const { reason, message } = await device.lost;
  throw new DeviceLostError(
    `Cannot ${action}, as its GPU was lost (${reason}): ${message || "no message"}`,
  );
}
