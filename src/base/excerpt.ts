/** Most characters of a value in a message: what a file or a caller holds may be long, deep, or hold itself. */
const LONGEST = 100;
/** Most characters of a message, before the dots of what is cut off. */
const LONGEST_MESSAGE = 1990;

/** Beyond it a bigint takes long to write. */
const LARGEST_BIGINT = 2n ** 256n;

/** A value as a message shows it: close to JSON, in bounded time and length. */
export function excerpt(value: unknown): string {
  try {
    return cut(beginning(value, LONGEST + 1), LONGEST);
  } catch {
    // Getters and proxies throw what they like, and must not take the place of the message.
    return typeof value;
  }
}

/** The text, or its first characters. What would move the cursor of a terminal or turn its text around is written as a number. */
export function cut(text: string, most: number): string {
  const start = text.length > most ? `${text.slice(0, most)}...` : text;
  return start.replace(
    /[\p{Cc}\p{Bidi_Control}\u2028\u2029]/gu,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** A message, of 2,000 characters at most: what others say in it may be long. */
export function cutMessage(text: string): string {
  return cut(text, LONGEST_MESSAGE);
}

/** The value in at least `room` characters, or in all that it takes. */
function beginning(value: unknown, room: number): string {
  if (typeof value === "string") return JSON.stringify(value.slice(0, room));
  if (typeof value === "bigint" && (value > LARGEST_BIGINT || value < -LARGEST_BIGINT)) {
    return "bigint";
  }
  if (typeof value === "function") return `function ${value.name.slice(0, room)}`;
  if (typeof value !== "object" || value === null) return String(value);
  if (Array.isArray(value)) {
    return inBrackets("[]", room, value.keys(), (i, rest) => beginning(value[i], rest));
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype === null || prototype === Object.prototype) {
    const fields = value as Record<string, unknown>;
    return inBrackets("{}", room, Object.keys(fields), (name, rest) => {
      const label = `${beginning(name, rest)}:`;
      return label + beginning(fields[name], rest - label.length);
    });
  }
  return instance(value).slice(0, room);
}

function inBrackets<Key>(
  [open, close]: string,
  room: number,
  keys: Iterable<Key>,
  itemOf: (key: Key, room: number) => string,
): string {
  let text = open;
  for (const key of keys) {
    // The rest is cut off, and not even looked at.
    if (text.length >= room) return text;
    if (text !== open) text += ", ";
    text += itemOf(key, room - text.length);
  }
  return text + close;
}

/** An error by its message, another object by its class: what it holds may be large. */
function instance(value: object): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  const name = value.constructor?.name || "object";
  return ArrayBuffer.isView(value) && "length" in value ? `${name}(${value.length})` : name;
}
