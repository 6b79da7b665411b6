import type { WithInterrupt } from "../../cli/shared/interrupt.ts";

/** Work is interrupted when the signal is looked at for the `checks`th time. */
export function interruptedAt(checks: number): WithInterrupt {
  let looks = 0;
  const signal = {
    get aborted() {
      return ++looks >= checks;
    },
  } as AbortSignal;
  return (use) => use(signal);
}
