// @ts-check
/// <reference lib="dom" />
/** Attention maps, framed by the key/value head that their query heads share. */
import { attend } from "@onehead/attention";
import { HEADS, project } from "./heads.js";

/** @import { Gpu } from "@onehead/attention" */

/** @typedef {{ weight: string, text: string }} Ink Colours. */

/** Pixels of a weight. */
const CELL = 8;

/**
 * What each of the eight heads looks at [heads, tokens, tokens], from the staged kernels.
 *
 * @param {Gpu} gpu
 * @param {readonly string[]} words
 * @param {number} numKvHeads
 */
export async function weightsOf(gpu, words, numKvHeads) {
  const { q, k } = project(words, numKvHeads);
  const options = { causal: true, scale: 1, outputs: /** @type {const} */ (["weights"]) };
  const { weights } = await attend(gpu, { q, k, v: k }, options);
  if (!weights) throw new Error("no weights came back");
  return weights.data;
}

/**
 * Draws the maps, a frame for each K/V head.
 *
 * @param {Element} place
 * @param {{ weights: Float32Array, words: readonly string[], numKvHeads: number, row: number }} shown
 * @param {(row: number) => void} choose Called with the row that was clicked.
 */
export function drawMaps(place, { weights, words, numKvHeads, row }, choose) {
  const groupSize = HEADS.length / numKvHeads;
  const numTokens = words.length;
  const style = getComputedStyle(place);
  const ink = { weight: style.getPropertyValue("--mqa"), text: style.color };
  const frames = Array.from({ length: numKvHeads }, (_, kvHead) => {
    const frame = document.createElement("fieldset");
    frame.dataset.size = `${groupSize}`;
    const legend = frame.appendChild(document.createElement("legend"));
    legend.textContent = `K/V head ${kvHead + 1}`;
    for (let head = kvHead * groupSize; head < (kvHead + 1) * groupSize; head++) {
      const map = weights.subarray(head * numTokens ** 2, (head + 1) * numTokens ** 2);
      frame.append(figureOf(map, { words, row, head, ink }, choose));
    }
    return frame;
  });
  place.replaceChildren(...frames);
}

/**
 * @param {Float32Array} map
 * @param {{ words: readonly string[], row: number, head: number, ink: Ink }} shown
 * @param {(row: number) => void} choose
 */
function figureOf(map, { words, row, head, ink }, choose) {
  const numTokens = words.length;
  const figure = document.createElement("figure");
  const canvas = figure.appendChild(document.createElement("canvas"));
  draw(canvas, map, { numTokens, row, ink });
  canvas.addEventListener("click", ({ offsetY }) => {
    choose(Math.min(numTokens - 1, Math.floor(offsetY / canvas.clientHeight * numTokens)));
  });
  const seen = map.subarray(row * numTokens, (row + 1) * numTokens);
  const most = seen.indexOf(Math.max(...seen));
  const caption = figure.appendChild(document.createElement("figcaption"));
  const [name, looks] = ["b", "span"].map((tag) =>
    caption.appendChild(document.createElement(tag))
  );
  name.textContent = `${head + 1} ${HEADS[head].name}`;
  looks.textContent = `${words[row]} → ${words[most]} ${Math.round(100 * seen[most])} %`;
  canvas.setAttribute("role", "img");
  canvas.setAttribute(
    "aria-label",
    `Query head ${head + 1}, ${HEADS[head].name}: "${words[row]}" looks at "${words[most]}" most`,
  );
  return figure;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} map
 * @param {{ numTokens: number, row: number, ink: Ink }} shown
 */
function draw(canvas, map, { numTokens, row, ink }) {
  canvas.width = canvas.height = numTokens * CELL;
  const context = canvas.getContext("2d");
  if (!context) return;
  for (let i = 0; i < numTokens; i++) {
    for (let j = 0; j < numTokens; j++) {
      // Later words are not there to be looked at.
      const isLater = j > i;
      context.fillStyle = isLater ? ink.text : ink.weight;
      context.globalAlpha = isLater ? 0.07 : Math.sqrt(map[i * numTokens + j]);
      context.fillRect(j * CELL, i * CELL, CELL, CELL);
    }
  }
  context.globalAlpha = 1;
  context.strokeStyle = ink.text;
  context.strokeRect(0.5, row * CELL + 0.5, (row + 1) * CELL - 1, CELL - 1);
}
