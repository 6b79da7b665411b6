// @ts-check
/// <reference lib="dom" />
/** Horizontal bars: a name, a bar, and the value in words, which is all that a screen reader needs. */

/**
 * @typedef {object} Bar
 * @property {string} id Of its colour.
 * @property {string} name
 * @property {string} detail
 * @property {number} [length] Any unit, the same for all; nothing where it is not known.
 * @property {string} value
 */

/**
 * Draws bars in place of those that are there, the longest over the whole width.
 *
 * @param {Element} list
 * @param {readonly Bar[]} bars
 */
export function drawBars(list, bars) {
  const longest = Math.max(...bars.map(({ length = 0 }) => length));
  for (const [i, { id, name, detail, length = 0, value }] of bars.entries()) {
    const item = list.children[i] ?? list.appendChild(newItem());
    item.className = id;
    const [nameText, detailText, valueText, track] = item.children;
    nameText.textContent = name;
    detailText.textContent = detail;
    valueText.textContent = value;
    const bar = /** @type {HTMLElement} */ (track.firstElementChild);
    bar.style.width = `${longest > 0 ? 100 * length / longest : 0}%`;
  }
}

function newItem() {
  const item = document.createElement("li");
  item.append(...["b", "small", "span", "div"].map((name) => document.createElement(name)));
  item.lastElementChild?.append(document.createElement("div"));
  return item;
}
