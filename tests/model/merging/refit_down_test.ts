// The last projection of a feed-forward layer takes over what the residual stream lacks, as far as its input tells.
import { assertEquals } from "@std/assert";
import { refitDown } from "../../../src/model/merging/refit_down.ts";
import { assertClose } from "../../support/compare.ts";
import { type Random, testRandomly } from "../../support/random.ts";

const [TOKENS, DIM, HIDDEN_DIM] = [400, 3, 5];

function drawn(random: Random, shape: readonly number[]): Float32Array {
  return Float32Array.from(random.tensor(shape).data);
}

for (const hasBias of [false, true]) {
  testRandomly(
    `refitDown() takes over errors that are linear in the input, ${hasBias ? "" : "no "}bias`,
    (random) => {
      const inside = drawn(random, [TOKENS, HIDDEN_DIM]);
      const [weight, change] = [drawn(random, [DIM, HIDDEN_DIM]), drawn(random, [DIM, HIDDEN_DIM])];
      const [bias, shift] = [drawn(random, [DIM]), drawn(random, [DIM])];
      const errors = Float32Array.from({ length: TOKENS * DIM }, (_, i) => {
        const [token, row] = [Math.floor(i / DIM), i % DIM];
        let sum = hasBias ? shift[row] : 0;
        for (let h = 0; h < HIDDEN_DIM; h++) {
          sum += change[row * HIDDEN_DIM + h] * inside[token * HIDDEN_DIM + h];
        }
        return sum;
      });
      const refitted = refitDown(
        {
          weight: { data: weight, shape: [DIM, HIDDEN_DIM] },
          ...(hasBias && { bias: { data: bias, shape: [DIM] } }),
        },
        inside,
        errors,
      );
      assertClose(refitted.weight.data, weight.map((x, i) => x + change[i]), 0.01, "weight");
      if (hasBias) assertClose(refitted.bias!.data, bias.map((x, i) => x + shift[i]), 0.01, "bias");
      assertEquals(refitted.bias !== undefined, hasBias);
    },
  );
}

testRandomly("refitDown() leaves the projection as it is where held-out tokens lose", (random) => {
  const inside = drawn(random, [TOKENS, HIDDEN_DIM]);
  const down = { weight: { data: drawn(random, [DIM, HIDDEN_DIM]), shape: [DIM, HIDDEN_DIM] } };
  // Every eighth chunk of 16 tokens is held out: its errors are the opposite of what the others say.
  const errors = Float32Array.from({ length: TOKENS * DIM }, (_, i) => {
    const token = Math.floor(i / DIM);
    const isHeldOut = Math.floor(token / 16) % 8 === 7;
    return (isHeldOut ? -1 : 1) * inside[token * HIDDEN_DIM];
  });
  assertEquals(refitDown(down, inside, errors), down);
});
