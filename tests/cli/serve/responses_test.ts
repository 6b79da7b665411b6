// Responses by hand.
import { assertEquals } from "@std/assert";
import { completionFormat } from "../../../cli/serve/responses.ts";

Deno.test("serve: of candidates with equal texts, a completion names the likeliest", () => {
  const likeliest = [["a", -1], ["", -2], ["", -3], ["a", -4], ["b", -5]] as const;
  const token = {
    ...{ token: 0, text: "a", offset: 0, logprob: -1 },
    likeliest: likeliest.map(([text, logprob], token) => ({ token, text, logprob })),
  };
  const piece = { index: 0, text: "a", tokens: [token], finish: "length" } as const;
  const head = { id: "1", created: 1, model: "test" };
  // deno-lint-ignore no-explicit-any
  const { choices } = completionFormat().event(head, piece, true) as any;
  const [top] = choices[0].logprobs.top_logprobs;
  assertEquals(Object.entries(top), [["a", -1], ["", -2], ["b", -5]]);
});
