/** Attention shapes of real models, each compared as MHA, GQA and MQA of the same query heads. */
export interface ModelShape {
  name: string;
  numHeads: number;
  headDim: number;
  /** KV heads of the grouped variant: the model's own where it has groups; none where the heads do not divide. */
  gqaKvHeads?: number;
  /** KV heads that the model was trained with. */
  ownKvHeads: number;
  /** Longest context that the model was trained for. */
  maxContext: number;
  /** Where the shape is published. */
  source: string;
}

export const MODELS: readonly ModelShape[] = [
  {
    name: "LLaMA-2-7B",
    numHeads: 32,
    headDim: 128,
    gqaKvHeads: 8,
    ownKvHeads: 32,
    maxContext: 4096,
    source: "arXiv 2307.09288",
  },
  {
    name: "LLaMA-2-70B",
    numHeads: 64,
    headDim: 128,
    gqaKvHeads: 8,
    ownKvHeads: 8,
    maxContext: 4096,
    source: "arXiv 2307.09288",
  },
  {
    name: "Mistral-7B",
    numHeads: 32,
    headDim: 128,
    gqaKvHeads: 8,
    ownKvHeads: 8,
    maxContext: 8192,
    source: "arXiv 2310.06825",
  },
  {
    name: "StarCoder",
    numHeads: 48,
    headDim: 128,
    gqaKvHeads: 8,
    ownKvHeads: 1,
    maxContext: 8192,
    source: "arXiv 2305.06161",
  },
  {
    name: "Falcon-7B",
    numHeads: 71,
    headDim: 64,
    ownKvHeads: 1,
    maxContext: 2048,
    source: "arXiv 2311.16867",
  },
  {
    name: "Gemma-2B",
    numHeads: 8,
    headDim: 256,
    gqaKvHeads: 2,
    ownKvHeads: 1,
    maxContext: 8192,
    source: "arXiv 2403.08295",
  },
  {
    name: "Gemma-3-1B",
    numHeads: 4,
    headDim: 256,
    gqaKvHeads: 2,
    ownKvHeads: 1,
    maxContext: 32768,
    source: "arXiv 2503.19786",
  },
  {
    name: "PaLM-8B",
    numHeads: 16,
    headDim: 256,
    gqaKvHeads: 4,
    ownKvHeads: 1,
    maxContext: 2048,
    source: "arXiv 2204.02311",
  },
  {
    name: "GPT-2",
    numHeads: 12,
    headDim: 64,
    gqaKvHeads: 4,
    ownKvHeads: 12,
    maxContext: 1024,
    source: "Radford et al. 2019",
  },
  {
    name: "Shazeer-2019",
    numHeads: 8,
    headDim: 128,
    gqaKvHeads: 2,
    ownKvHeads: 1,
    maxContext: 128,
    source: "arXiv 1911.02150",
  },
];
