import type { TopLevelSpec } from "vega-lite";

/**
 * Draws a figure. Vega does the drawing; it is loaded by the first call, so that nothing else needs it.
 *
 * @param spec What to draw.
 * @returns An SVG document.
 */
export async function renderSvg(spec: TopLevelSpec): Promise<string> {
  const [vega, vegaLite] = await Promise.all([import("vega"), import("vega-lite")]);
  const view = new vega.View(vega.parse(vegaLite.compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}
