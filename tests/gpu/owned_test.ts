// What is made is owned: it is freed when a later step fails, when its use ends, and when its owner goes.
import { assertEquals, assertRejects } from "@std/assert";
import { KeptBuffers } from "../../src/gpu/kept_buffers.ts";
import { Owned } from "../../src/gpu/owned.ts";

/** Something to free, that notes when it is. */
function destroyable(name: string, destroyed: string[]) {
  return { destroy: () => void destroyed.push(name) };
}

/** A buffer on no device. */
function buffer(name: string, destroyed: string[]): GPUBuffer {
  return destroyable(name, destroyed) as unknown as GPUBuffer;
}

Deno.test("Owned frees everything once, the last first", () => {
  const destroyed: string[] = [];
  const owned = new Owned();
  const first = destroyable("first", destroyed);
  assertEquals(owned.keep(first) === first, true, "what is kept is handed back");
  owned.keep(destroyable("second", destroyed));
  owned.destroy();
  owned.destroy();
  assertEquals(destroyed, ["second", "first"]);
});

Deno.test("Owned frees at once what comes after its end", () => {
  const destroyed: string[] = [];
  const owned = new Owned();
  owned.destroy();
  owned.keep(destroyable("late", destroyed));
  assertEquals(destroyed, ["late"]);
});

Deno.test("Owned.make() keeps what was made, and frees it where a later step fails", async () => {
  const destroyed: string[] = [];
  const owned = await Owned.make((owned) => {
    owned.keep(destroyable("made", destroyed));
    return Promise.resolve(owned);
  });
  assertEquals(destroyed, []);
  owned.destroy();
  assertEquals(destroyed, ["made"]);
  const failed = Owned.make(async (owned) => {
    owned.keep(destroyable("half", destroyed));
    await Promise.reject(new Error("second step"));
  });
  await assertRejects(() => failed, Error, "second step");
  assertEquals(destroyed, ["made", "half"]);
});

Deno.test("Owned.use() frees what was used, whether it went well or not", async () => {
  const destroyed: string[] = [];
  const used = await Owned.use((owned) => {
    owned.keep(destroyable("used", destroyed));
    return Promise.resolve(7);
  });
  assertEquals([used, destroyed], [7, ["used"]]);
  const failed = Owned.use((owned) => {
    owned.keep(destroyable("failed", destroyed));
    return Promise.reject(new Error("use"));
  });
  await assertRejects(() => failed, Error, "use");
  assertEquals(destroyed, ["used", "failed"]);
});

Deno.test("KeptBuffers makes a buffer once, and frees all of them", () => {
  const destroyed: string[] = [];
  const kept = new KeptBuffers();
  const made: string[] = [];
  const get = (key: string) =>
    kept.get(key, () => {
      made.push(key);
      return buffer(key, destroyed);
    });
  const a = get("a");
  get("b");
  assertEquals(get("a") === a, true, "the same buffer");
  assertEquals(made, ["a", "b"]);
  kept.destroy();
  assertEquals(destroyed.sort(), ["a", "b"]);
  get("a");
  assertEquals(made, ["a", "b", "a"], "what was destroyed is not handed out again");
});

Deno.test("KeptBuffers lets go of what has not been used in a long time, without destroying it", () => {
  const destroyed: string[] = [];
  const kept = new KeptBuffers();
  let made = 0;
  const get = (key: string) =>
    kept.get(key, () => {
      made++;
      return buffer(key, destroyed);
    });
  for (let i = 0; i < 1000; i++) {
    get("in use");
    get(`once ${i}`);
  }
  assertEquals(made, 1001, "what is in use is kept");
  assertEquals(destroyed, [], "encoded work may still read what is let go");
  kept.destroy();
  assertEquals(destroyed.length, 256);
});
