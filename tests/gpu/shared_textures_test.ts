// Textures are shared by all who ask for the same, for as long as one of them is there.
import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { GpuWorkError } from "../../mod.ts";
import { Owned } from "../../src/gpu/owned.ts";
import { sharedTexture } from "../../src/gpu/shared_textures.ts";
import { sharedGpu } from "../support/gpu.ts";
import { AliveTextures } from "../support/textures.ts";

Deno.test("sharedTexture() is one for a name and a size, until its last user goes", async () => {
  const gpu = await sharedGpu();
  const bytesBefore = gpu.textureBytes;
  using alive = await AliveTextures.watch();
  const [first, second] = [new Owned(), new Owned()];
  const [a, same, other, higher] = await Promise.all([
    sharedTexture(gpu, first, "a", [4, 2]),
    sharedTexture(gpu, second, "a", [4, 2]),
    sharedTexture(gpu, second, "b", [4, 2]),
    sharedTexture(gpu, second, "a", [4, 3]),
  ]);
  assertStrictEquals(a, same);
  assertEquals([other.label, higher.height], ["b", 3]);
  assertEquals(alive.labels, ["a", "b", "a"]);
  assertEquals(gpu.textureBytes - bytesBefore, (2 + 2 + 3) * 4 * 16);
  // The smallest that is large enough, of the same width.
  assertStrictEquals(await sharedTexture(gpu, second, "a", [4, 1]), a);
  assertEquals((await sharedTexture(gpu, first, "a", [8, 1])).width, 8);
  assertEquals(alive.labels, ["a", "b", "a", "a"]);
  first.destroy();
  assertEquals(alive.labels, ["a", "b", "a"]);
  second.destroy();
  assertEquals([alive.labels, gpu.textureBytes], [[], bytesBefore]);

  // One who comes later gets a new one, and one who has gone while waiting keeps none.
  const third = new Owned();
  await sharedTexture(gpu, third, "a", [4, 2]);
  assertEquals(alive.labels, ["a"]);
  third.destroy();
  await sharedTexture(gpu, third, "a", [4, 2]);
  assertEquals(alive.labels, []);
});

Deno.test("sharedTexture() tells all who wait that memory was refused, and tries anew", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const { createTexture } = device;
  const [first, second] = [new Owned(), new Owned()];
  const ask = (owned: Owned) => sharedTexture(gpu, owned, "refused", [4, 2]);
  device.createTexture = (descriptor) =>
    createTexture.call(device, { ...descriptor, mipLevelCount: 99 });
  try {
    const refused = [first, second].map((owned) => assertRejects(() => ask(owned), GpuWorkError));
    await Promise.all(refused);
  } finally {
    device.createTexture = createTexture;
  }
  const granted = await ask(second);
  first.destroy();
  await gpu.guard("view the texture", () => granted.createView());
  second.destroy();
});

Deno.test("sharedTexture() refuses a large one alone, not who asks for less at the same time", async () => {
  const gpu = await sharedGpu();
  const { device } = gpu;
  const { createTexture } = device;
  const [first, second] = [new Owned(), new Owned()];
  device.createTexture = (descriptor) => {
    const [, height] = descriptor.size as [number, number];
    return createTexture.call(device, { ...descriptor, mipLevelCount: height === 9 ? 99 : 1 });
  };
  try {
    const [, small] = await Promise.all([
      assertRejects(() => sharedTexture(gpu, first, "some", [4, 9]), GpuWorkError),
      sharedTexture(gpu, second, "some", [4, 2]),
    ]);
    assertEquals(small.height, 2);
  } finally {
    device.createTexture = createTexture;
    first.destroy();
    second.destroy();
  }
});
