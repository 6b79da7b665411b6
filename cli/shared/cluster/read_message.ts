/** Reads what a peer sent, by a schema. */
import type { z } from "zod";
import { cutMessage } from "../../../src/base/excerpt.ts";
import { MessageError } from "../../../src/cluster/errors.ts";

/**
 * Reads a value; `what` names it in the message.
 *
 * @throws {MessageError} If a field is missing, unknown or out of range.
 */
export function readMessage<Kind extends z.ZodType>(
  what: string,
  schema: Kind,
  value: unknown,
): z.infer<Kind> {
  const { success, data, error } = schema.safeParse(value);
  if (success) return data;
  const [issue] = error.issues;
  throw new MessageError(
    cutMessage(`Cannot read ${what}: ${issue.path.join(".")}: ${issue.message}`),
  );
}
