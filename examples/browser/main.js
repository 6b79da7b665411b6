// @ts-check
/// <reference lib="dom" />
/** The page: forms in, bars and maps out. */
import { Gpu, GpuUnavailableError, kvCacheBytes } from "@onehead/attention";
import { drawBars } from "./bars.js";
import { DecodeStep } from "./decode_step.js";
import { byId } from "./dom.js";
import { formatBytes, formatCount, formatTime } from "./format.js";
import { drawMaps, weightsOf } from "./maps.js";
import { listenToModel } from "./model_tab.js";
import { listenToTabs } from "./tabs.js";

/** How long to measure, over all variants. */
const BUDGET_MS = 2500;
const MAX_ROUNDS = 40;
const MAX_WORDS = 20;
/** More than many GPUs can spare for a page. */
const MAX_CACHE_BYTES = 2 ** 31;

const shapeForm = /** @type {HTMLFormElement} */ (byId("shape"));
const mapsForm = /** @type {HTMLFormElement} */ (byId("maps-form"));
const cancelButton = /** @type {HTMLButtonElement} */ (byId("cancel"));
const measureButton = /** @type {HTMLButtonElement} */ (shapeForm.querySelector("[type=submit]"));

/** The variants of the shape that is chosen: what differs is the number of K/V heads. */
function variantsOf() {
  const chosen = Object.fromEntries(new FormData(shapeForm));
  const [numHeads, numGroups, headDim, contextLen] = [
    "numHeads",
    "numGroups",
    "headDim",
    "contextLen",
  ]
    .map((name) => Number(chosen[name]));
  const dtype = chosen.dtype === "f16"
    ? /** @type {const} */ ("f16")
    : /** @type {const} */ ("f32");
  return [["mha", numHeads], ["gqa", numGroups], ["mqa", 1]].map(([id, kvHeads]) => {
    const numKvHeads = Number(kvHeads);
    const shape = { numHeads, numKvHeads, headDim, contextLen, dtype };
    const bytes = kvCacheBytes({ numLayers: 1, numKvHeads, headDim }, { contextLen, dtype });
    const detail = numKvHeads === 1 ? "1 K/V head" : `${numKvHeads} K/V heads`;
    return { id: String(id), name: String(id).toUpperCase(), detail, shape, bytes };
  });
}

/** @typedef {ReturnType<typeof variantsOf>} Variants */

/** @param {Variants} variants */
function drawMemory(variants) {
  drawBars(
    byId("memory"),
    variants.map(({ bytes, ...bar }) => ({ ...bar, length: bytes, value: formatBytes(bytes) })),
  );
}

/**
 * @param {Variants} variants
 * @param {ReadonlyMap<string, { times: number[], failure?: string }>} [measured]
 */
function drawThroughput(variants, measured = new Map()) {
  const base = median(measured.get("mha")?.times ?? []);
  drawBars(
    byId("throughput"),
    variants.map((bar) => {
      const { times = [], failure } = measured.get(bar.id) ?? {};
      const ms = median(times);
      if (ms === undefined) return { ...bar, value: failure ?? "–" };
      const ratio = base === undefined || bar.id === "mha"
        ? ""
        : ` · ${(base / ms).toFixed(1)} × MHA`;
      return {
        ...bar,
        length: 1 / ms,
        value: `${formatCount(1000 / ms)}/s · ${formatTime(ms)}${ratio}`,
      };
    }),
  );
}

/** @param {readonly number[]} values */
function median(values) {
  return values.toSorted((a, b) => a - b).at(values.length >> 1);
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = text;
}

/**
 * Prepares, checks and times the variants, in turns, and draws what is known so far.
 *
 * @param {Gpu} gpu
 * @param {AbortSignal} signal
 */
async function measure(gpu, signal) {
  const variants = variantsOf();
  /** @type {Map<string, { times: number[], failure?: string }>} */
  const measured = new Map();
  /** @type {{ id: string, step: DecodeStep }[]} */
  const running = [];
  /** @type {string[]} */
  const checks = [];
  byId("checked").textContent = "";
  drawThroughput(variants, measured);
  try {
    for (const { id, name, shape, bytes } of variants) {
      if (bytes > MAX_CACHE_BYTES) {
        measured.set(id, {
          times: [],
          failure: `more than ${formatBytes(MAX_CACHE_BYTES)}: not tried`,
        });
        continue;
      }
      say(`${name}: filling the cache, compiling …`);
      const step = new DecodeStep(gpu, shape);
      running.push({ id, step });
      try {
        await step.prepare(signal);
        checks.push(`${name} ${(await step.error()).toExponential(1)}`);
        signal.throwIfAborted();
        measured.set(id, { times: [] });
      } catch (error) {
        signal.throwIfAborted();
        running.pop();
        step.destroy();
        measured.set(id, { times: [], failure: /** @type {Error} */ (error).message });
      }
      drawThroughput(variants, measured);
    }
    const start = performance.now();
    for (let round = 1; round <= MAX_ROUNDS && running.length > 0; round++) {
      for (const { id, step } of running) {
        measured.get(id)?.times.push(await step.sample());
        signal.throwIfAborted();
      }
      drawThroughput(variants, measured);
      say(`Measuring, round ${round} …`);
      if (performance.now() - start > BUDGET_MS) break;
    }
    const clock = gpu.features.timestamps
      ? "the GPU's own clock"
      : "the time of many steps at once";
    say(
      `Done: medians, by ${clock}. Keys and values of short contexts may stay in the GPU's caches.`,
    );
    byId("checked").textContent = checks.length === 0
      ? ""
      : `Checked first, against a float64 reference on one random head: off by ${
        checks.join(", ")
      }.`;
  } finally {
    for (const { step } of running) step.destroy();
  }
}

/** @param {Gpu} gpu */
function listenToShape(gpu) {
  /** @type {AbortController | undefined} */
  let current;
  const draw = () => {
    const variants = variantsOf();
    drawMemory(variants);
    drawThroughput(variants);
  };
  draw();
  shapeForm.addEventListener("change", () => {
    current?.abort();
    draw();
  });
  cancelButton.addEventListener("click", () => current?.abort());
  shapeForm.addEventListener("submit", async (event) => {
    event.preventDefault();
    current = new AbortController();
    measureButton.disabled = true;
    cancelButton.disabled = false;
    cancelButton.focus();
    try {
      await measure(gpu, current.signal);
    } catch (error) {
      say(current.signal.aborted ? "Cancelled." : String(error));
    } finally {
      measureButton.disabled = false;
      if (document.activeElement === cancelButton) measureButton.focus();
      cancelButton.disabled = true;
    }
  });
}

/** @param {Gpu} gpu */
function listenToMaps(gpu) {
  const { words: wordsInput, numKvHeads: select, row: slider } =
    /** @type {Record<string, HTMLInputElement>} */ (/** @type {unknown} */ (mapsForm.elements));
  /** @type {{ weights: Float32Array, words: string[], numKvHeads: number } | undefined} */
  let latest;
  let isComputing = false;
  let isStale = false;

  const draw = () => {
    if (!latest) return;
    const row = Math.min(Number(slider.value), latest.words.length - 1);
    byId("row-word").textContent = latest.words[row];
    drawMaps(byId("maps"), { ...latest, row }, (row) => {
      slider.value = String(row);
      draw();
    });
  };
  const compute = async () => {
    isStale = true;
    if (isComputing) return;
    isComputing = true;
    // What was typed meanwhile is computed next, and nothing in between.
    while (isStale) {
      isStale = false;
      const words = wordsInput.value.split(/\s+/).filter(Boolean).slice(0, MAX_WORDS);
      const numKvHeads = Number(select.value);
      if (words.length === 0) continue;
      try {
        const weights = await weightsOf(gpu, words, numKvHeads);
        latest = { weights, words, numKvHeads };
        slider.max = String(words.length - 1);
        draw();
        byId("maps-status").textContent = "";
      } catch (error) {
        byId("maps-status").textContent = String(error);
      }
    }
    isComputing = false;
  };
  mapsForm.addEventListener("submit", (event) => event.preventDefault());
  wordsInput.addEventListener("input", compute);
  select.addEventListener("change", compute);
  slider.addEventListener("input", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return compute();
}

/** @param {Gpu} gpu */
function introduce({ description, features }) {
  const { description: name, isSoftware } = description;
  byId("gpu").textContent = `Your GPU: ${name || "it does not say its name"}.` +
    (isSoftware ? " It is a program on the CPU: its speed says little about GPUs." : "");
  const f16 = /** @type {HTMLOptionElement} */ (shapeForm.querySelector("[value=f16]"));
  f16.disabled = !features.f16;
  if (!features.f16) f16.textContent = "f16 (not on this GPU)";
}

try {
  const gpu = await Gpu.open();
  byId("main").hidden = false;
  introduce(gpu);
  listenToTabs(byId("tabs"));
  listenToShape(gpu);
  listenToModel(gpu);
  gpu.device.lost.then(({ message }) => say(`The GPU was lost: reload the page. ${message}`));
  await listenToMaps(gpu);
} catch (error) {
  if (!(error instanceof GpuUnavailableError)) throw error;
  byId("gpu").hidden = true;
  byId("missing").hidden = false;
  byId("missing-why").textContent = error.message;
}
