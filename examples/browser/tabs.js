// @ts-check
/// <reference lib="dom" />
/** Tabs as https://www.w3.org/WAI/ARIA/apg/patterns/tabs/ describes them: arrows, Home and End go from one to the next. */

/** @param {Element} list With the tabs, each naming its panel by aria-controls. */
export function listenToTabs(list) {
  const tabs = /** @type {HTMLElement[]} */ ([...list.querySelectorAll("[role=tab]")]);
  /** @param {HTMLElement} chosen */
  const choose = (chosen) => {
    for (const tab of tabs) {
      const isChosen = tab === chosen;
      tab.ariaSelected = String(isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
      const panel = document.getElementById(tab.getAttribute("aria-controls") ?? "");
      if (panel) panel.hidden = !isChosen;
    }
  };
  list.addEventListener("click", ({ target }) => {
    const tab = tabs.find((tab) => tab === target);
    if (tab) choose(tab);
  });
  list.addEventListener("keydown", (event) => {
    const { key } = /** @type {KeyboardEvent} */ (event);
    const at = tabs.findIndex((tab) => tab === document.activeElement);
    const last = tabs.length - 1;
    const next = {
      ArrowLeft: at === 0 ? last : at - 1,
      ArrowRight: at === last ? 0 : at + 1,
      Home: 0,
      End: last,
    }[key];
    if (at < 0 || next === undefined) return;
    event.preventDefault();
    choose(tabs[next]);
    tabs[next].focus();
  });
}
