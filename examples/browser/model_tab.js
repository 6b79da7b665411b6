// @ts-check
/// <reference lib="dom" />
/** The tab that runs a model: files in, text out, with its speed and what its cache holds. */
import { kvCacheBytes } from "@onehead/attention";
import { drawBars } from "./bars.js";
import { byId } from "./dom.js";
import { formatBytes, formatCount, formatTime } from "./format.js";
import { PageModel } from "./page_model.js";

/** @import { Gpu } from "@onehead/attention" */

/**
 * What is known of the model with a number of K/V heads.
 *
 * @typedef {{ msPerToken?: number, length: number }} Run
 */

const form = /** @type {HTMLFormElement} */ (byId("model-form"));
const chooser = /** @type {HTMLInputElement} */ (byId("model-files"));
const drop = byId("drop");
const heads = /** @type {HTMLSelectElement} */ (form.elements.namedItem("kvHeads"));
const write = /** @type {HTMLButtonElement} */ (form.querySelector("[type=submit]"));
const stop = /** @type {HTMLButtonElement} */ (byId("stop"));

/** @param {string} text */
function say(text) {
  byId("model-status").textContent = text;
}

/** @param {number} kvHeads @param {PageModel} model */
function kindOf(kvHeads, { spec: { numHeads } }) {
  if (kvHeads === 1) return "mqa";
  return kvHeads === numHeads ? "mha" : "gqa";
}

/** @param {Gpu} gpu */
export function listenToModel(gpu) {
  /** @type {PageModel} */
  let model;
  /** @type {Map<number, Run>} */
  let runs = new Map();
  /** @type {AbortController | undefined} */
  let current;
  /** How many models were chosen: what began with an earlier one leaves the page to the last. */
  let choice = 0;

  const draw = () => {
    const { spec } = model;
    const longest = Math.max(1, ...[...runs.values()].map(({ length }) => length));
    const bars = model.kvHeads.map((kvHeads) => ({
      ...{ id: kindOf(kvHeads, model), name: kindOf(kvHeads, model).toUpperCase(), kvHeads },
      detail: kvHeads === 1 ? "1 K/V head" : `${kvHeads} K/V heads`,
    }));
    drawBars(
      byId("model-throughput"),
      bars.map(({ kvHeads, ...bar }) => {
        const ms = runs.get(kvHeads)?.msPerToken;
        if (ms === undefined) return { ...bar, value: "–" };
        return { ...bar, length: 1 / ms, value: `${formatCount(1000 / ms)}/s · ${formatTime(ms)}` };
      }),
    );
    drawBars(
      byId("model-memory"),
      bars.map(({ kvHeads, ...bar }) => {
        const shape = { numLayers: spec.layers.length, numKvHeads: kvHeads, headDim: spec.headDim };
        const bytes = kvCacheBytes(shape, { contextLen: longest, dtype: "f32" });
        return { ...bar, length: bytes, value: `${formatBytes(bytes)} · ${longest} tokens` };
      }),
    );
  };

  /** @param {PageModel} opened */
  const use = (opened) => {
    model = opened;
    runs = new Map();
    byId("model-throughput").replaceChildren();
    byId("model-memory").replaceChildren();
    heads.replaceChildren(...model.kvHeads.map((kvHeads) => {
      const kind = kindOf(kvHeads, model).toUpperCase();
      return new Option(`${kvHeads} (${kind})`, String(kvHeads));
    }));
    byId("text").textContent = "";
    const { layers, dim, numHeads } = model.spec;
    say(`${model.name}: ${layers.length} layers of ${dim}, ${numHeads} query heads.`);
    draw();
  };

  /** Ends what runs for another model; returns the number of that one. */
  const choose = () => {
    current?.abort();
    return ++choice;
  };

  /** @param {readonly File[]} files */
  const open = async (files) => {
    if (files.length === 0) return;
    const mine = choose();
    say("Opening …");
    /** @type {string[]} */
    const said = [];
    try {
      const opened = await PageModel.fromFiles(files, (sentence) => said.push(sentence));
      if (mine !== choice) return;
      use(opened);
      if (said.length > 0) say(`${byId("model-status").textContent} ${said.join(" ")}`);
    } catch (error) {
      if (mine === choice) say(/** @type {Error} */ (error).message);
    }
  };

  chooser.addEventListener("change", () => open([...chooser.files ?? []]));
  byId("random").addEventListener("click", () => {
    choose();
    chooser.value = "";
    use(PageModel.random());
  });
  for (const type of ["dragenter", "dragover"]) {
    drop.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const type of ["dragleave", "drop"]) {
    drop.addEventListener(type, () => drop.classList.remove("over"));
  }
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    open([...event.dataTransfer?.files ?? []]);
  });
  stop.addEventListener("click", () => current?.abort());

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const asked = Object.fromEntries(new FormData(form));
    const kvHeads = Number(asked.kvHeads);
    current = new AbortController();
    const { signal } = current;
    write.disabled = true;
    stop.disabled = false;
    stop.focus();
    const mine = choice;
    /** @param {string} said */
    const tell = (said) => {
      if (mine === choice) say(said);
    };
    let tokens = 0;
    tell("Starting …");
    try {
      const text = { prompt: String(asked.prompt), tokens: Number(asked.tokens) };
      const options = { kvHeads, ...text, temperature: Number(asked.temperature) };
      for await (const { text, count, length, ms } of model.write(gpu, options, signal, tell)) {
        if (mine !== choice) break;
        byId("text").textContent = text;
        runs.set(kvHeads, { length, msPerToken: count > 0 ? ms / count : undefined });
        tokens = length;
        draw();
      }
      tell(signal.aborted ? "Stopped." : `Done: ${tokens} tokens.`);
    } catch (error) {
      tell(signal.aborted ? "Stopped." : /** @type {Error} */ (error).message);
    } finally {
      write.disabled = false;
      if (document.activeElement === stop) write.focus();
      stop.disabled = true;
    }
  });
  use(PageModel.random());
}
