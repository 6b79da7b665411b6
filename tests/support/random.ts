import type { HostTensor } from "../../mod.ts";
import { seedFrom, uniform } from "../../src/base/random.ts";

/** Seed of this run: a fresh one, or that of `deno test ... -- --seed=N`, which repeats a failure. Browsers get here too. */
const SEED = seedOf(globalThis.Deno?.args ?? []) ?? crypto.getRandomValues(new Uint32Array(1))[0];

/** Random numbers that a seed repeats. */
export class Random {
  /** In [0, 1). */
  readonly next: () => number;

  constructor(seed: number) {
    this.next = uniform(seed);
  }

  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  /** One of the choices. */
  pick<Choice>(choices: readonly Choice[]): Choice {
    return choices[this.integer(0, choices.length - 1)];
  }

  /** Numbers in [-1, 1), as f32 holds them, so that kernel and reference read the same ones. */
  tensor(shape: readonly number[]): HostTensor & { data: Float32Array } {
    const length = shape.reduce((product, size) => product * size, 1);
    return { data: Float32Array.from({ length }, () => 2 * this.next() - 1), shape };
  }
}

/** A test of random inputs. Its seed depends on the name, so that it fails alike when it runs alone. */
export function testRandomly(name: string, test: (random: Random) => void | Promise<void>): void {
  Deno.test(name, async () => {
    try {
      await test(new Random(SEED ^ seedFrom(name)));
    } catch (error) {
      // Not added to its message, which those of WebGPU do not let change.
      throw new Error(`(repeat: deno test ... -- --seed=${SEED})`, { cause: error });
    }
  });
}

function seedOf(args: readonly string[]): number | undefined {
  const given = args.find((arg) => arg.startsWith("--seed="));
  return given === undefined ? undefined : Number(given.slice("--seed=".length)) >>> 0;
}
