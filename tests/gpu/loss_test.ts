// What a rejection of WebGPU turns into while it is not known yet whether the device is lost.
import { assertRejects, assertStrictEquals } from "@std/assert";
import { DeviceLostError } from "../../mod.ts";
import { DeviceLoss } from "../../src/gpu/loss.ts";
import { compute } from "../support/compute.ts";

function deviceOf(lost: Promise<GPUDeviceLostInfo>): GPUDevice {
  return { lost, destroy() {} } as GPUDevice;
}

const turn = () => new Promise<void>((resolve) => setTimeout(resolve));

Deno.test("loss: a rejection that comes before the word of the loss, on a busy machine", async () => {
  const tell = async (): Promise<GPUDeviceLostInfo> => {
    await turn();
    // The rejection is known by now.
    compute(100);
    await turn();
    const info = { reason: "unknown", message: "the driver failed" };
    return info as unknown as GPUDeviceLostInfo;
  };
  const loss = new DeviceLoss(deviceOf(tell()));
  const wait = () => loss.waitFor(Promise.reject(new Error("no map")));
  await assertRejects(wait, DeviceLostError, "the driver failed");
});

Deno.test("loss: a rejection of a device that is not lost stays what it is", async () => {
  const error = new Error("no map");
  const loss = new DeviceLoss(deviceOf(new Promise(() => {})));
  assertStrictEquals(await loss.waitFor(Promise.reject(error)).catch((error) => error), error);
});
