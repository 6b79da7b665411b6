/** Damage to files: to their bytes, and to what they say. */
import type { Random } from "../support/random.ts";

/** What a field of JSON may hold instead of what belongs there. */
const STRANGE: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    -1,
    0,
    1,
    2,
    0.5,
    63,
    4096,
    2 ** 31,
    4294967294,
    2 ** 53,
    -(2 ** 40),
    1e300,
  ],
  ...[
    "",
    "a",
    "1",
    "F32",
    "I64",
    "BPE",
    "Sequence",
    "▁",
    "\u0000",
    "__proto__",
    "<0x41>",
    "(a+)+$",
  ],
  ...[[], {}, [0], [1, 2, 3], ["a", "b"], [[]], { type: "Sequence" }, { Regex: "(a|a)*b" }],
];

/** The same file with some bytes lost, added or changed. */
export function damagedBytes(random: Random, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const kind = random.integer(0, 3);
  if (kind === 0) return bytes.slice(0, random.integer(0, bytes.length));
  const longer = new Uint8Array(bytes.length + (kind === 1 ? random.integer(1, 64) : 0));
  longer.set(bytes);
  for (let flips = random.integer(kind === 1 ? 0 : 1, 4); flips > 0 && longer.length > 0; flips--) {
    const most = random.pick([8, 64, longer.length]);
    longer[random.integer(0, Math.min(most, longer.length) - 1)] ^= random.integer(1, 255);
  }
  return longer;
}

/** The same JSON with some of its values replaced, lost, added or exchanged. */
export function damagedJson(random: Random, json: unknown): unknown {
  const copy = structuredClone({ json });
  for (let wounds = random.integer(1, 3); wounds > 0; wounds--) wound(random, copy);
  return copy.json ?? null;
}

function wound(random: Random, root: Record<string, unknown>): void {
  let holder = root;
  let key = "json";
  // Deep places are as likely as shallow ones.
  for (let inner = holder[key]; isHolder(inner) && random.next() < 0.8; inner = holder[key]) {
    holder = inner;
    key = random.pick(Object.keys(holder));
  }
  const others = Object.keys(holder);
  const actions = [
    () => void (holder[key] = strange(random)),
    () => void delete holder[key],
    () => void (holder[random.pick(["type", "content", "x", "0", "ids"])] = strange(random)),
    () => void (holder[key] = structuredClone(holder[random.pick(others)])),
    () => void (holder[key] = [holder[key]]),
    () => {
      const value = holder[key];
      if (typeof value === "number") holder[key] = value + random.pick([-1, 1, 0.5, 1e9]);
    },
  ];
  random.pick(actions)();
}

/** Whether there is something within. */
function isHolder(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && Object.keys(value).length > 0;
}

/** Something that belongs nowhere; sometimes long, or deep. */
function strange(random: Random): unknown {
  const kind = random.integer(0, 19);
  if (kind === 0) return "x".repeat(10 ** random.integer(1, 5));
  if (kind === 1) return new Array(10 ** random.integer(1, 4)).fill(random.pick(STRANGE));
  if (kind > 2) return structuredClone(random.pick(STRANGE));
  let deep: unknown = [];
  for (let level = random.integer(1, 500); level > 0; level--) {
    deep = random.pick([[deep], { a: deep }]);
  }
  return deep;
}

/** A regular expression, most of them nonsense and some of them slow. */
export function drawPattern(random: Random, depth = 3): string {
  const atom = () => {
    const plain = ["a", "b", " ", ".", "\\s", "\\S", "\\p{L}", "[ab]", "[^a]", "[a[b]]", "$", "^"];
    const kind = depth > 0 ? random.integer(0, 4) : 0;
    if (kind < 3) return random.pick(plain);
    return random.pick(["(", "(?:", "(?=", "(?!", "(?i:", "(?>"]) + drawPattern(random, depth - 1) +
      ")";
  };
  const quantifier = () =>
    random.pick(["", "", "", "*", "+", "?", "{2}", "{1,3}", "{0,}", "{1,40}", "*?", "++"]);
  const sequence = () =>
    Array.from({ length: random.integer(0, 4) }, () => atom() + quantifier()).join("");
  return Array.from({ length: random.integer(1, 3) }, sequence).join("|");
}
