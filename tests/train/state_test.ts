// States of a training as bytes and files.
import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import { CheckpointError } from "../../mod.ts";
import { decodeState, encodeState } from "../../src/train/state.ts";
import { testRandomly } from "../support/random.ts";
import { until } from "../support/within.ts";

testRandomly("state: what is written comes back, bit for bit", async (random) => {
  const tensors = [[3, 2], [1], [5]].map((shape, i) => ({
    ...{ name: `tensor ${i}`, shape, data: random.tensor(shape).data },
  }));
  tensors[2].data.set([-0, Infinity, 1e-42, 3e38, NaN]);
  const state = { step: 2 ** 40, tensors };
  assertEquals(await decodeState("a", await encodeState(state)), state);
});

testRandomly("state: one changed bit, and it is refused", async (random) => {
  const tensors = [{ name: "w", shape: [4], data: random.tensor([4]).data }];
  const bytes = await encodeState({ step: 3, tensors });
  for (let bit = 0; bit < 8 * bytes.length; bit += random.integer(1, 20)) {
    const damaged = bytes.slice();
    damaged[bit >> 3] ^= 1 << (bit & 7);
    await assertRejects(() => decodeState("a.state", damaged), CheckpointError, "a.state");
  }
});

Deno.test("state: a process that is killed while it saves leaves a whole state", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/training.state`;
    const steps: number[] = [];
    for (let i = 0; i < 4; i++) {
      const script = import.meta.resolve("../support/save_forever.ts");
      const child = new Deno.Command(Deno.execPath(), {
        args: ["run", "--allow-read", "--allow-write", script, path],
        ...{ stdout: "null", stderr: "inherit" },
      }).spawn();
      const last = steps.at(-1);
      // Until it has saved once, and then some.
      const hasSaved = (step?: number) => step !== last && step !== undefined;
      await until(() => stepOf(path).then(hasSaved), "a save");
      await new Promise((resolve) => setTimeout(resolve, 7 * i));
      child.kill("SIGKILL");
      await child.status;
      const step = await stepOf(path);
      assert(step !== undefined);
      steps.push(step);
    }
    assertGreater(Math.max(...steps), 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The step of a state in a file, all of whose numbers are that step; undefined where there is no file. */
async function stepOf(path: string): Promise<number | undefined> {
  const bytes = await Deno.readFile(path).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  });
  if (!bytes) return undefined;
  const { step, tensors: [{ data }] } = await decodeState(path, bytes);
  assert(data.every((value) => value === step));
  return step;
}
