import type { JsonObject } from "../base/json.ts";
import type { DecoderSpec } from "../model/spec.ts";
import type { Component } from "../model/weight_shapes.ts";
import type { HfConfig } from "./config.ts";
import type { ModelOutline } from "./model_types/model_type.ts";

/** A family of models: what its `config.json` means, and what its checkpoints call the weights. */
export interface Family {
  /** The decoder's shape. */
  spec: DecoderSpec;
  /** Prefixes of the names of the decoder's tensors: they depend on the program that saved them. */
  prefixes: readonly string[];
  /** The file's name of each component, after the prefix, with N for the number of a layer. */
  tensors: Readonly<Partial<Record<Component, string>>>;
  /** The components that have a bias besides their weight; norms of `kind: "layer"` always have. */
  biased: readonly Component[];
  /** Whether norms keep the difference of their weights to 1. */
  addsOneToNorms: boolean;
  /** Whether the embedding serves as classifier. */
  isTied: boolean;
  /** The fields of `config.json` by which it says a number of KV heads; those that are undefined must be absent. */
  kvHeadFields: (numKvHeads: number) => JsonObject;
}

/** Reads a family from its configuration, whose layers are already known. */
export type FamilyReader = (config: HfConfig, outline: ModelOutline) => Family;

/** The activations of the decoder by their names in `config.json`. */
export const ACTIVATIONS: Readonly<Record<string, DecoderSpec["activation"]>> = {
  silu: "silu",
  swish: "silu",
  gelu: "gelu",
  gelu_new: "geluTanh",
  gelu_fast: "geluTanh",
  gelu_pytorch_tanh: "geluTanh",
};

/** The sizes of a decoder among those of a model. */
export function sizesOf(
  { vocabSize, dim, hiddenDim, numHeads, numKvHeads, headDim }: ModelOutline,
): Pick<
  DecoderSpec,
  "vocabSize" | "dim" | "hiddenDim" | "numHeads" | "numKvHeads" | "headDim"
> {
  return { vocabSize, dim, hiddenDim, numHeads, numKvHeads, headDim };
}
