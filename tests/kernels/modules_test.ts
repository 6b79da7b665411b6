// The modules of the library: composed for every class of device, without any.
import { assert, assertEquals, assertGreater } from "@std/assert";
import { makeShaderDataDefinitions, makeStructuredView } from "webgpu-utils";
import { mergeStatesModule } from "../../src/attend/merge_states.ts";
import { fusedModules } from "../../src/attend/fused_module.ts";
import { type BindingType, compose, join } from "../../src/gpu/compose.ts";
import { type Layout, uniformLayout } from "../../src/gpu/host_layout.ts";
import * as wgsl from "../../kernels/mod.ts";
import { textsOf } from "../../tools/kernels.ts";
import { sharedGpu } from "../support/gpu.ts";
import { everyModule, fewOf, unorderedText, unusedOf } from "../support/modules.ts";
import { fusedPlan, PROFILES } from "../support/plan.ts";

const SEED = 1;
const DIALECT = { enableSubgroups: false };
const MODULES = everyModule(SEED);
const FEW = fewOf(MODULES);

Deno.test("modules: each composes, and those that say the same are one text and one pipeline", () => {
  assertGreater(MODULES.length, 1000);
  const texts = Map.groupBy(MODULES, unorderedText);
  for (const [, same] of texts) assertEquals(same.length, 1, same[0].label);
});

Deno.test("modules: none is given a constant, a type, a fragment or a binding that it does not use", () => {
  for (const module of MODULES) assertEquals(unusedOf(module), [], module.label);
});

Deno.test("modules: unusedOf finds what is not used", () => {
  const given = mergeStatesModule(8, "f32");
  const fragments = [
    wgsl.rowTile.padded,
    `${wgsl.activation.silu}\nvar<storage> idle: array<u32>;`,
  ];
  const idle = { types: { Idle: "f32" }, constants: { IDLE: 1, TILE_ROWS: 2 }, fragments };
  assertEquals(unusedOf(join("test", given, idle)), [
    ...["Idle", "IDLE", "TILE_ROWS", ...fragments, "\nvar<storage> idle: array<u32>;"],
  ]);
});

Deno.test("modules: every text of the kernels is in some of them", () => {
  const used = new Set(MODULES.flatMap(({ fragments }) => fragments));
  const texts = textsOf("kernels").filter(({ text }) => !used.has(text));
  assertEquals(texts.map(({ path, variant }) => `${path} ${variant ?? ""}`), []);
});

Deno.test("merge slices: 72 shapes are one pipeline", () => {
  const codes = new Set<string>();
  let shapes = 0;
  for (const numHeads of [8, 16, 32, 64]) {
    for (const numKvHeads of [1, 2, 8]) {
      for (const seqLen of [1, 4]) {
        for (const sinks of [0, 1, 4]) {
          const spec = { numHeads, numKvHeads, headDim: 64, seqLen, sinks, capacity: 8192 };
          const { merge } = fusedModules(fusedPlan(spec, undefined, PROFILES["a GPU"]));
          assert(merge, JSON.stringify(spec));
          codes.add(compose(merge, DIALECT).code);
          shapes++;
        }
      }
    }
  }
  assertEquals({ shapes, pipelines: codes.size }, { shapes: 72, pipelines: 1 });
});

Deno.test("modules: the compiler of this device takes them", async () => {
  const gpu = await sharedGpu();
  const { f16, subgroups } = gpu.features;
  const refused = [/\bsubgroup_matrix/, ...(f16 ? [] : [/\bf16\b/])];
  if (!subgroups) refused.push(/\bsubgroup[A-Z]/);
  if (!gpu.profile.longLoads) refused.push(/\bu64\b/);
  let taken = 0;
  for (const module of FEW) {
    const { code } = compose(module, gpu.dialect);
    if (refused.some((pattern) => pattern.test(code))) continue;
    taken++;
    await gpu.guard(`compile ${module.label}`, () => gpu.device.createShaderModule({ code }));
  }
  assertGreater(taken, 100);
});

/** Places of all numbers of a layout, by their names. */
function placesOf(layout: Layout, name: string, offset = 0): [string, number][] {
  if (layout.kind === "number") return [[name, offset]];
  if (layout.kind === "struct") {
    return layout.members.flatMap(({ name: member, layout, offset: at }) =>
      placesOf(layout, `${name}.${member}`, offset + at)
    );
  }
  // An array of vectors counts through, as the host writes it.
  const { count, element, stride } = layout;
  const places = Array.from(
    { length: count },
    (_, i) => placesOf(element, "", offset + i * stride),
  );
  return places.flat().map(([, place], i) => [`${name}[${i}]`, place]);
}

/** The same, as the oracle has them. */
function placesOfViews(views: unknown, name: string): [string, number][] {
  if (!ArrayBuffer.isView(views)) {
    return Object.entries(views as object).flatMap(([member, view]) =>
      placesOfViews(view, `${name}.${member}`)
    );
  }
  const { length, byteOffset } = views as Uint32Array;
  if (length === 1) return [[name, byteOffset]];
  return Array.from({ length }, (_, i) => [`${name}[${i}]`, byteOffset + 4 * i]);
}

// What the oracle does not read: types that only some compilers know.
const UNREAD = /subgroup_matrix|\bu64\b/;

/** The kind of an entry of the oracle, whose uniforms have no type. */
function typeOf({ buffer, texture, storageTexture }: GPUBindGroupLayoutEntry): BindingType {
  if (texture) return "texture";
  return storageTexture ? "storage-texture" : buffer?.type ?? "uniform";
}

Deno.test("modules: bindings and uniforms are those that webgpu-utils reads", () => {
  let compared = 0;
  for (const module of FEW) {
    // Loops that are not written out say the same, and sooner.
    const fragments = module.fragments.map((text) => text.replaceAll("/*unroll*/", ""));
    const { code, bindings } = compose({ ...module, fragments }, DIALECT);
    if (UNREAD.test(code)) continue;
    compared++;
    const oracle = makeShaderDataDefinitions(code);
    const { resources } = oracle.entryPoints.main;
    assertEquals(
      bindings,
      resources.map(({ name, entry }) => ({ name, binding: entry.binding, type: typeOf(entry) }))
        .sort((a, b) => a.binding - b.binding),
      module.label,
    );
    for (const [name, definition] of Object.entries(oracle.uniforms)) {
      // The host writes params alone; other uniforms are ranges of tensors.
      if (name !== "params") continue;
      const { views, arrayBuffer } = makeStructuredView(definition);
      const layout = uniformLayout(code, name);
      assertEquals(layout.size, arrayBuffer.byteLength);
      assertEquals(placesOf(layout, ""), placesOfViews(views, ""), module.label);
    }
  }
  assertGreater(compared, 100);
});
