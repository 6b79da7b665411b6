import { assertThrows } from "@std/assert";

/** A call that must throw: its name, the kind of its error, and the end of its message. */
export type Refusal = readonly [
  what: string,
  call: () => unknown,
  kind: typeof TypeError | typeof RangeError,
  says: string,
];

/** A test for each refusal. */
export function testRefusals(subject: string, refusals: readonly Refusal[]): void {
  for (const [what, call, kind, says] of refusals) {
    Deno.test(`${subject}: refuses ${what}`, () => {
      assertThrows(call, kind, says);
    });
  }
}
