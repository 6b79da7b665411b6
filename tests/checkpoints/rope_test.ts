// Rotary positions as config.json has them, in every family that has some.
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  CheckpointError,
  type DecoderSpec,
  parseDecoderConfig,
} from "../../src/checkpoints/mod.ts";
import { fillInRope } from "../../src/cache/rope_kernel.ts";

type Fields = Record<string, unknown>;

const SIZES = {
  ...{ vocab_size: 5, hidden_size: 64, num_attention_heads: 4, num_hidden_layers: 2 },
  max_position_embeddings: 32768,
};

/** A family: its fields, the layer that takes what names no kind, and what that kind is called. */
interface RopeFamily {
  name: string;
  fields: Fields;
  layer: number;
  layerType: "full_attention" | "sliding_attention";
  /** Its class's base. */
  base: number;
}

const FAMILIES: readonly RopeFamily[] = [
  {
    name: "llama",
    fields: { model_type: "llama", intermediate_size: 6 },
    ...{ layer: 1, layerType: "full_attention", base: 10000 },
  },
  {
    name: "mistral with a window",
    fields: { model_type: "mistral", num_key_value_heads: 2 },
    ...{ layer: 0, layerType: "sliding_attention", base: 10000 },
  },
  {
    name: "mistral without one",
    fields: { model_type: "mistral", num_key_value_heads: 2, sliding_window: null },
    ...{ layer: 0, layerType: "full_attention", base: 10000 },
  },
  {
    name: "gemma",
    fields: { model_type: "gemma", head_dim: 16, num_key_value_heads: 1 },
    ...{ layer: 0, layerType: "full_attention", base: 10000 },
  },
  {
    name: "gemma 3",
    fields: { model_type: "gemma3_text", head_dim: 16, sliding_window_pattern: 2 },
    ...{ layer: 1, layerType: "full_attention", base: 1_000_000 },
  },
  {
    name: "falcon",
    fields: { model_type: "falcon" },
    ...{ layer: 0, layerType: "full_attention", base: 10000 },
  },
  {
    name: "falcon under its first name",
    fields: { model_type: "RefinedWebModel", multi_query: true, parallel_attn: true },
    ...{ layer: 0, layerType: "full_attention", base: 10000 },
  },
];

const parse = (fields: Fields): DecoderSpec =>
  parseDecoderConfig(JSON.stringify({ ...SIZES, ...fields }), "config.json");

/** The rotation of a layer's queries and keys. */
const ropeOf = (spec: DecoderSpec, layer: number) =>
  fillInRope("test", spec.layers[layer].rope!, spec.headDim);

const powers = (base: number, change = (frequency: number) => frequency) =>
  Array.from({ length: 8 }, (_, pair) => change(base ** (-pair / 8)));

function assertClose(actual: readonly number[], expected: readonly number[], what: string): void {
  assertEquals(actual.length, expected.length, what);
  actual.forEach((value, i) => assertAlmostEquals(value, expected[i], 1e-6 * expected[i], what));
}

/** Places of the base, and the one that counts. */
const BASES: [fields: (type: string) => Fields, base?: number][] = [
  [() => ({})],
  [() => ({ rope_theta: null, rope_scaling: null, rope_parameters: null })],
  [() => ({ rope_parameters: {} })],
  [() => ({ rope_scaling: { rope_type: "default" } })],
  [() => ({ rope_theta: 500 }), 500],
  [() => ({ rope_theta: 500, rope_parameters: { rope_type: "default" } }), 500],
  [() => ({ rope_theta: 500, rope_parameters: { rope_theta: null } }), 500],
  [() => ({ rope_theta: 500, rope_parameters: { rope_theta: 700 } }), 700],
  [() => ({ rope_theta: 500, rope_scaling: { rope_theta: 700, type: "default" } }), 700],
  [() => ({ rope_scaling: { rope_theta: 700, rope_type: "default" } }), 700],
  [() => ({ rope_scaling: { rope_theta: 700 }, rope_parameters: { rope_theta: 700 } }), 700],
  [() => ({ rope_scaling: { type: "default" }, rope_parameters: { rope_theta: 700 } }), 700],
  [(type) => ({ rope_theta: 500, rope_parameters: { [type]: { rope_theta: 700 } } }), 700],
  [(type) => ({ rope_theta: 500, rope_scaling: { [type]: { rope_theta: 700 } } }), 700],
  [(type) => ({ rope_theta: 500, rope_parameters: { [type]: { rope_type: "default" } } }), 500],
];

/**
 * Scalings over a head of 16 elements, base 10000 and 32768 positions; frequencies and factors are those of transformers
 * 5.18.0 (`ROPE_INIT_FUNCTIONS` of modeling_rope_utils.py, for a LlamaConfig of these sizes).
 */
const SCALINGS: {
  name: string;
  scaling: Fields;
  frequencies: number[];
  attentionFactor?: number;
  /** The context that is left, where it is another than the model's. */
  contextLen?: number;
  positionsEnd?: boolean;
}[] = [
  {
    name: "linear",
    scaling: { rope_type: "linear", factor: 4 },
    frequencies: [
      ...[0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466],
      ...[0.000250000012, 7.90569466e-05],
    ],
  },
  {
    name: "dynamic",
    scaling: { rope_type: "dynamic", factor: 4 },
    frequencies: powers(10000),
    positionsEnd: true,
  },
  {
    name: "llama3",
    scaling: {
      ...{ rope_type: "llama3", factor: 8, low_freq_factor: 1, high_freq_factor: 4 },
      original_max_position_embeddings: 8192,
    },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786],
      ...[0.000213607578, 3.95284733e-05],
    ],
  },
  {
    name: "yarn",
    scaling: {
      ...{ rope_type: "yarn", factor: 8, original_max_position_embeddings: 4096 },
      finetuned: true,
    },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0247052945, 0.00562499976, 0.00108703296],
      ...[0.000125000006, 3.95284733e-05],
    ],
    attentionFactor: 1.2079441541679836,
  },
  {
    name: "yarn whose factor is that of the lengths",
    scaling: { rope_type: "yarn", factor: null, original_max_position_embeddings: 4096 },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0247052945, 0.00562499976, 0.00108703296],
      ...[0.000125000006, 3.95284733e-05],
    ],
    attentionFactor: 1.2079441541679836,
  },
  {
    name: "yarn between whole pairs",
    scaling: {
      ...{ rope_type: "yarn", factor: 8, truncate: false },
      original_max_position_embeddings: 4096,
    },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0281120818, 0.00598313287, 0.000972857641],
      ...[0.000125000006, 3.95284733e-05],
    ],
    attentionFactor: 1.2079441541679836,
  },
  {
    name: "yarn with an attention factor",
    scaling: {
      ...{ rope_type: "yarn", factor: 8, attention_factor: 0.75 },
      original_max_position_embeddings: 4096,
    },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0247052945, 0.00562499976, 0.00108703296],
      ...[0.000125000006, 3.95284733e-05],
    ],
    attentionFactor: 0.75,
  },
  {
    name: "yarn with all of its fields",
    scaling: {
      ...{ rope_type: "yarn", factor: 40, beta_fast: 16, beta_slow: 2, mscale: 1 },
      ...{ mscale_all_dim: 0.5, truncate: false, original_max_position_embeddings: 4096 },
    },
    frequencies: [
      ...[1, 0.316227764, 0.100000001, 0.0316227786, 0.00579010462, 0.000123952457],
      ...[2.49999994e-05, 7.90569447e-06],
    ],
    attentionFactor: 1.1557219901962608,
  },
  {
    name: "longrope",
    scaling: {
      ...{ rope_type: "longrope", factor: 8, original_max_position_embeddings: 4096 },
      ...{ short_factor: [1, 1.1, 1.2, 1.3, 1.5, 2, 3, 4], long_factor: Array(8).fill(2) },
    },
    frequencies: [
      ...[1, 0.287479758, 0.0833333358, 0.0243252143, 0.00666666683, 0.00158113893],
      ...[0.00033333333, 7.90569466e-05],
    ],
    attentionFactor: 1.118033988749895,
    contextLen: 4096,
    positionsEnd: true,
  },
];

for (const { name, fields, layer, layerType, base } of FAMILIES) {
  Deno.test(`${name}: the base within a section, or beside it, or the class's`, () => {
    for (const [place, expected = base] of BASES) {
      const own = { ...fields, ...place(layerType) };
      assertEquals(ropeOf(parse(own), layer).frequencies, powers(expected), JSON.stringify(own));
      const nested = { model_type: "some_model_that_sees", text_config: { ...SIZES, ...own } };
      assertEquals(parse(nested), parse(own));
    }
  });

  Deno.test(`${name}: every scaling, under every name of its section and type`, () => {
    for (const { name, scaling, frequencies, ...others } of SCALINGS) {
      const { attentionFactor = 1, contextLen = 32768, positionsEnd } = others;
      const { rope_type, ...rest } = scaling;
      const typed = { ...rest, type: rope_type === "longrope" ? "su" : rope_type };
      const places: Fields[] = [
        { rope_theta: 10000, rope_scaling: scaling },
        { rope_theta: 10000, rope_scaling: typed },
        { rope_parameters: { ...scaling, rope_theta: 10000 } },
        { rope_theta: 10000, rope_parameters: { [layerType]: typed } },
        { rope_theta: 10000, rope_scaling: scaling, rope_parameters: typed },
        { rope_scaling: scaling, rope_parameters: { rope_type: "default", rope_theta: 10000 } },
        { rope_scaling: { ...typed, rope_type }, rope_theta: 10000 },
      ];
      for (const place of places) {
        const spec = parse({ ...fields, ...place });
        const rope = ropeOf(spec, layer);
        const what = `${name}: ${JSON.stringify(place)}`;
        assertClose(rope.frequencies, frequencies, what);
        assertAlmostEquals(rope.attentionFactor, attentionFactor, 1e-12, what);
        assertEquals([spec.contextLen, spec.positionsEnd], [contextLen, positionsEnd], what);
      }
      const { original_max_position_embeddings: trained, ...untrained } = scaling;
      if (trained === undefined) continue;
      const beside = { original_max_position_embeddings: trained, rope_scaling: untrained };
      const { frequencies: same } = ropeOf(parse({ ...fields, rope_theta: 1e4, ...beside }), layer);
      assertClose(same, frequencies, name);
    }
  });

  Deno.test(`${name}: what is not understood is refused, by name`, () => {
    const yarn = { rope_type: "yarn", factor: 2, original_max_position_embeddings: 4096 };
    const refused: [fields: Fields, says: string][] = [
      [{ rope_scaling: { factor: 8 } }, '"rope_scaling.factor" has no meaning'],
      [{ rope_scaling: { factor: 8, type: "default" } }, '"rope_scaling.factor" has no meaning'],
      [{ rope_parameters: { factor: 8 } }, '"rope_parameters.factor" has no meaning'],
      [{ rope_scaling: { type: "ntk", factor: 8 } }, 'rope_scaling.type="ntk"'],
      [{ rope_scaling: { rope_type: "mrope", mrope_section: [1] } }, 'rope_type="mrope"'],
      [{ rope_scaling: { mrope_section: [1] } }, '"rope_scaling.mrope_section" has no meaning'],
      [{ rope_scaling: { ...yarn, low_freq_factor: 1 } }, '"rope_scaling.low_freq_factor"'],
      [{ rope_scaling: { type: "linear" } }, '"rope_scaling.factor" is missing'],
      [{ rope_scaling: { type: "linear", factor: 0 } }, "rope_scaling.factor=0"],
      [{ rope_scaling: { type: "dynamic" } }, '"rope_scaling.factor" is missing'],
      [{ rope_scaling: { type: "yarn" } }, '"rope_scaling.factor" is missing'],
      [{ rope_scaling: { ...yarn, beta_fast: "32" } }, 'rope_scaling.beta_fast="32"'],
      [{ rope_scaling: { ...yarn, truncate: 1 } }, "rope_scaling.truncate=1"],
      [{ rope_scaling: [8] }, "rope_scaling=[8]"],
      [{ rope_scaling: "linear" }, 'rope_scaling="linear"'],
      [{ rope_theta: -1 }, "rope_theta=-1"],
      [{ rope_theta: "1e4" }, 'rope_theta="1e4"'],
      [{ rope_parameters: { rope_theta: 0 } }, "rope_parameters.rope_theta=0"],
      [{ rope_scaling: { type: "linear", rope_type: "yarn", factor: 2 } }, "must agree"],
      [
        { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: yarn },
        "must agree with the other",
      ],
      [
        { rope_scaling: { rope_theta: 5 }, rope_parameters: { rope_theta: 6 } },
        '"rope_scaling.rope_theta" must agree with the other section, which has 6',
      ],
      [
        { rope_scaling: { ...yarn, rope_type: "llama3", low_freq_factor: 4, high_freq_factor: 1 } },
        '"rope_scaling.high_freq_factor" must be above',
      ],
      [
        { rope_scaling: { rope_type: "longrope", factor: 2, short_factor: [1], long_factor: [1] } },
        '"rope_scaling.short_factor" must be 8 numbers',
      ],
      [
        { rope_scaling: { rope_type: "longrope", factor: 2, short_factor: Array(8).fill(1) } },
        '"rope_scaling.long_factor" is missing',
      ],
      [
        { rope_parameters: { full: {}, sliding: {} } },
        '"rope_parameters.full" is no kind of layer',
      ],
      [{ rope_parameters: { chunked_attention: {} } }, '"rope_parameters.chunked_attention"'],
      [{ rope_parameters: { [layerType]: 8 } }, `"rope_parameters.${layerType}"`],
      [
        { rope_parameters: { [layerType]: {}, rope_theta: 5 } },
        '"rope_parameters.rope_theta" must',
      ],
      [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor=0.5"],
      [{ rope_parameters: { partial_rotary_factor: 0.5 } }, "partial_rotary_factor=0.5"],
    ];
    for (const [place, says] of refused) {
      const { message } = assertThrows(() => parse({ ...fields, ...place }), CheckpointError, says);
      assert(message.startsWith("Cannot read config.json as "), message);
    }
  });
}

Deno.test("a model of one kind of layer has no section for another", () => {
  const llama = { model_type: "llama" };
  for (const layerType of ["sliding_attention", "sliding"]) {
    assertThrows(
      () => parse({ ...llama, rope_parameters: { [layerType]: { rope_theta: 5 } } }),
      CheckpointError,
      `"rope_parameters.${layerType}" is no kind of layer of this model: it has full_attention`,
    );
  }
});

Deno.test("Gemma 3: windows have positions of their own, which no scaling reaches unless it names them", () => {
  const gemma = { model_type: "gemma3_text", head_dim: 16, sliding_window_pattern: 2 };
  const frequencies = (fields: Fields) => {
    const spec = parse({ ...gemma, ...fields });
    return [0, 1].map((layer) => ropeOf(spec, layer).frequencies);
  };
  const eighth = (frequency: number) => frequency / 8;
  const linear = { rope_type: "linear", factor: 8 };
  const cases: [fields: Fields, local: number[], global: number[]][] = [
    [{}, powers(1e4), powers(1e6)],
    [{ rope_local_base_freq: 300 }, powers(300), powers(1e6)],
    [{ rope_theta: 300 }, powers(1e4), powers(300)],
    [{ rope_scaling: linear }, powers(1e4), powers(1e6, eighth)],
    [{ rope_scaling: { ...linear, rope_theta: 300 } }, powers(1e4), powers(300, eighth)],
    [{ rope_parameters: { ...linear, rope_theta: 300 } }, powers(1e4), powers(300, eighth)],
    [
      { rope_parameters: { sliding_attention: { ...linear, rope_theta: 300 } }, rope_theta: 500 },
      powers(300, eighth),
      powers(500),
    ],
    [
      { rope_parameters: { sliding_attention: linear, full_attention: linear } },
      powers(1e4, eighth),
      powers(1e6, eighth),
    ],
    [
      {
        rope_scaling: linear,
        rope_parameters: {
          full_attention: { rope_type: "default", rope_theta: 300 },
          sliding_attention: { rope_type: "default", rope_theta: 500 },
        },
      },
      powers(500),
      powers(300, eighth),
    ],
  ];
  for (const [fields, local, global] of cases) {
    const [windowed, full] = frequencies(fields);
    assertClose(windowed, local, JSON.stringify(fields));
    assertClose(full, global, JSON.stringify(fields));
  }
  const half = { full_attention: linear, local: linear };
  assertThrows(
    () => parse({ ...gemma, rope_parameters: half }),
    CheckpointError,
    '"rope_parameters.local" is no kind of layer of this model: it has sliding_attention, full_attention',
  );
});

Deno.test("models without rotary positions have nothing to scale", () => {
  for (const fields of [{ model_type: "gpt_bigcode" }, { model_type: "falcon", alibi: true }]) {
    const plain = { rope_scaling: null, rope_parameters: { rope_type: "default", rope_theta: 5 } };
    assertEquals(parse({ ...fields, ...plain }).layers, [{}, {}]);
    for (const name of ["rope_scaling", "rope_parameters"]) {
      for (const type of ["rope_type", "type"]) {
        assertThrows(
          () => parse({ ...fields, [name]: { [type]: "linear", factor: 2 } }),
          CheckpointError,
          `${name}.${type}="linear"`,
        );
      }
    }
  }
});
