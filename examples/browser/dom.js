// @ts-check
/// <reference lib="dom" />

/**
 * The element of an id, which the page has.
 *
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`there is no #${id}`);
  return element;
}
