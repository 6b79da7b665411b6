// @ts-check
/** Eight query heads that ask for different things of the same keys, made up so that one sees what they do. */

const WORD = 32;
const POSITION = 32;
/** A key holds its word, the word before it, and its position. */
export const HEAD_DIM = WORD + WORD + POSITION;

/**
 * What a query head looks for. `seek` gives the parts of its query at token i: of the word, the word before, the position.
 *
 * @typedef {object} Head
 * @property {string} name
 * @property {(features: Embedding, i: number) => number[]} seek
 */

/** @typedef {ReturnType<typeof embed>} Embedding */

const nothing = new Array(WORD).fill(0);
/** @param {number[]} row @param {number} factor */
const times = (row, factor) => row.map((x) => factor * x);

/** @type {readonly Head[]} */
export const HEADS = [
  {
    name: "the same word",
    seek: ({ words }, i) => [...times(words[i], 9), ...nothing, ...nothing],
  },
  {
    name: "the word before",
    seek: (
      { positions },
      i,
    ) => [...nothing, ...nothing, ...times(positions[Math.max(0, i - 1)], 12)],
  },
  {
    name: "two words before",
    seek: (
      { positions },
      i,
    ) => [...nothing, ...nothing, ...times(positions[Math.max(0, i - 2)], 12)],
  },
  {
    name: "words nearby",
    seek: ({ positions }, i) => [...nothing, ...nothing, ...times(positions[i], 4)],
  },
  {
    name: "the first word",
    seek: ({ positions }) => [...nothing, ...nothing, ...times(positions[0], 12)],
  },
  {
    name: "what followed this word",
    seek: ({ words }, i) => [...nothing, ...times(words[i], 9), ...nothing],
  },
  {
    name: "the same word, earlier",
    seek: (
      { words, positions },
      i,
    ) => [...times(words[i], 9), ...nothing, ...times(positions[i], -9)],
  },
  { name: "everything", seek: () => [...nothing, ...nothing, ...nothing] },
];

/**
 * Queries [1, S, 8, H] and keys [1, S, numKvHeads, H] of a text. KV heads have embeddings of their own.
 *
 * @param {readonly string[]} words
 * @param {number} numKvHeads
 */
export function project(words, numKvHeads) {
  const embeddings = Array.from({ length: numKvHeads }, (_, kvHead) => embed(words, kvHead));
  const groupSize = HEADS.length / numKvHeads;
  const q = words.flatMap((_, i) =>
    HEADS.flatMap(({ seek }, head) => seek(embeddings[Math.floor(head / groupSize)], i))
  );
  const k = words.flatMap((_, i) =>
    embeddings.flatMap((
      { words, positions },
    ) => [...words[i], ...(words[i - 1] ?? nothing), ...positions[i]])
  );
  const tensor = (/** @type {number[]} */ data, /** @type {number} */ heads) => ({
    data: Float32Array.from(data),
    shape: [1, words.length, heads, HEAD_DIM],
  });
  return { q: tensor(q, HEADS.length), k: tensor(k, numKvHeads) };
}

/**
 * An axis for each word, the same for the same word, and a direction for each position, close to those nearby.
 *
 * @param {readonly string[]} words
 * @param {number} kvHead
 */
function embed(words, kvHead) {
  const distinct = [...new Set(words.map((word) => word.toLowerCase()))];
  // An odd factor takes axes to other axes, no two to the same.
  const axisOf = (/** @type {string} */ word) =>
    distinct.indexOf(word.toLowerCase()) * (2 * kvHead + 1) % WORD;
  return {
    words: words.map((word) => nothing.with(axisOf(word), 1)),
    positions: words.map((_, i) =>
      Array.from({ length: POSITION }, (_, j) => {
        const angle = i * 1.6 / (1 + (j >> 1) * 0.35);
        return (j % 2 === 0 ? Math.cos(angle) : Math.sin(angle)) / Math.sqrt(POSITION / 2);
      })
    ),
  };
}
