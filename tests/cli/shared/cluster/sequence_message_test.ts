// Sequences and tokens as JSON: what is written is read again, and what is wrong in any field is refused.
import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import {
  readSequence,
  readState,
  readTokens,
  sequenceMessage,
} from "../../../../cli/shared/cluster/sequence_message.ts";
import type { SequenceRequest } from "../../../../cli/shared/generation/engine.ts";
import { MessageError } from "../../../../src/cluster/mod.ts";

const FULL: SequenceRequest = {
  ...{ tokens: [3, 0], maxTokens: 4, endTokens: [1], temperature: 0.5, topP: 0.9, topK: 2 },
  ...{
    minP: 0.1,
    repetitionPenalty: 1.1,
    frequencyPenalty: 0.5,
    presencePenalty: -1,
    logitBias: new Map([[2, -3]]),
    seed: 2 ** 32 - 1,
  },
  logprobs: 2,
};
const sent = (value: unknown) => JSON.parse(JSON.stringify(value));

Deno.test("Sequences: what is written is read again", () => {
  assertEquals(readSequence(sent(sequenceMessage(FULL))), FULL);
  const { logprobs: _, ...plain } = FULL;
  assertEquals(readSequence(sent(sequenceMessage(plain))), plain);
  const tokens = [{ token: 1 }, {
    ...{ token: 2, logprob: -0.5 },
    likeliest: [{ token: 2, logprob: -0.5 }, { token: 0, logprob: -Infinity }],
  }];
  assertEquals(readTokens(sent(tokens), 3), tokens);
  assertThrows(() => readTokens(sent(tokens), 2), MessageError, "token=2, vocabSize=2");
  const others = sent([{ ...tokens[1], token: 0 }]);
  assertThrows(() => readTokens(others, 2), MessageError, "token=2, vocabSize=2");
});

Deno.test("Sequences: each field that is missing, unknown or out of range is named", () => {
  const message = sent(sequenceMessage(FULL));
  const wrong = {
    ...{ tokens: [], maxTokens: 0, endTokens: [-1], temperature: -1, topP: 0, topK: 0.5, minP: 2 },
    ...{
      repetitionPenalty: 0,
      frequencyPenalty: null,
      presencePenalty: "1",
      logitBias: [[1]],
      seed: 2 ** 32,
      logprobs: "2",
    },
  };
  assertEquals(Object.keys(wrong).sort(), Object.keys(message).sort());
  for (const [name, value] of Object.entries(wrong)) {
    const error = assertThrows(() => readSequence({ ...message, [name]: value }), MessageError);
    assertStringIncludes(error.message, name);
    if (name === "logprobs") continue;
    assertThrows(() => readSequence({ ...message, [name]: undefined }), MessageError);
  }
  assertThrows(() => readSequence({ ...message, model: "/etc/passwd" }), MessageError, "model");
  for (const tokens of [null, [{}], [{ token: -1 }], [{ token: 1, text: "" }]]) {
    assertThrows(() => readTokens(tokens, 3), MessageError);
  }
  assertEquals(readState({ running: 1 }), undefined);
});
