/** Server-sent events, as clients of the OpenAI API read them. */

/** The target of a stream. */
export interface Events {
  /** Sends a value as JSON. */
  send(value: unknown): void;
}

/**
 * A response of server-sent events. What its reader has not read yet waits in memory, at most one text, so that nobody
 * else waits for a slow reader.
 *
 * @param write Writes the events; what it throws is `onError`'s to put into an event.
 * @param options What to send for an error, and what to end when the reader goes away.
 */
export function eventStream(
  write: (events: Events) => Promise<void>,
  { onError, onCancel }: { onError: (error: unknown) => unknown; onCancel: () => void },
): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async start(controller) {
      let isOpen = true;
      const send = (text: string) => {
        if (!isOpen) return;
        try {
          controller.enqueue(encoder.encode(`data: ${text}\n\n`));
        } catch {
          isOpen = false; // the reader went away
        }
      };
      try {
        await write({ send: (value) => send(JSON.stringify(value)) });
        send("[DONE]");
      } catch (error) {
        send(JSON.stringify(onError(error)));
      }
      if (isOpen) controller.close();
    },
    cancel: onCancel,
  });
  return new Response(body, {
    headers: { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" },
  });
}
