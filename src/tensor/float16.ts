import { sentence } from "../base/check.ts";

/**
 * The array of f16 numbers, which runtimes have had for a year or two: looked up where it is needed, as all else runs without.
 *
 * @throws {TypeError} If this runtime lacks it.
 */
export function float16Array(action: string): Float16ArrayConstructor {
  const { Float16Array } = globalThis;
  if (Float16Array) return Float16Array;
  throw new TypeError(
    sentence(
      action,
      "f16 needs a runtime with Float16Array (Node 24, Chrome 135, Firefox 129, Safari 18.2); f32 does not",
      { Float16Array },
    ),
  );
}
