/** The pieces of kernels that a specification of scores asks for, and the values they read. */
import * as wgsl from "../../kernels/mod.ts";
import type { WgslPiece } from "../gpu/compose.ts";
import type { Dtype } from "../tensor/dtype.ts";
import { modPieces } from "./mod_pieces.ts";
import { MOD_GRAD } from "./mod_text.ts";
import { type FilledScoreSpec, leadingAxes, type ScoreStage } from "./score_spec.ts";

/** The step of the caller's function. */
const SCORE_MOD = "withScoreMod";

/** A score specification, what its values and their types depend on, and the outputs that are asked for. */
export interface ScoredSpec extends FilledScoreSpec {
  numHeads: number;
  seqLen: number;
  dtype: Dtype;
  outputs: readonly string[];
}

/** A step on the way to a score: a function `(s: f32, row: u32, context: Context, column: u32) -> f32`. */
interface Step {
  name: string;
  pieces: WgslPiece[];
}

/**
 * `scoreOf`: from the product of a query and a key to the score that softmax reads, or to an earlier stage of it. Each step
 * is a fragment; those that are not asked for are not there.
 */
export function scorePieces(spec: ScoredSpec, stage: ScoreStage = "scores"): WgslPiece[] {
  const steps = stepsTo(stage, spec);
  const scoreOf = throughSteps("scoreOf", steps, "s");
  return [{ fragments: [scoreOf] }, ...steps.flatMap(({ pieces }) => pieces)];
}

/** The steps that a specification asks for, in order. */
function stepsTo(stage: ScoreStage, spec: ScoredSpec): Step[] {
  const { softcap, alibiSlopes, bias, mask, dtype, scoreMod, maskMod, blockMask } = spec;
  const isWhole = stage === "scores";
  const steps: (Step & { isAsked: unknown })[] = [
    {
      name: "withSoftcap",
      isAsked: softcap && stage !== "products",
      pieces: [{ fragments: [wgsl.softcap] }],
    },
    {
      name: "withAlibi",
      isAsked: alibiSlopes && isWhole,
      pieces: [{ fragments: [wgsl.distance, wgsl.alibi] }, perHeadPiece(spec)],
    },
    {
      name: "withBias",
      isAsked: bias && isWhole,
      pieces: [{ types: { T: dtype }, fragments: [wgsl.bias] }],
    },
    {
      name: SCORE_MOD,
      isAsked: scoreMod && isWhole,
      pieces: [
        { fragments: [bias ? wgsl.scoreMod.afterBias : wgsl.scoreMod.alone] },
        ...modPieces("scoreMod", spec),
      ],
    },
    { name: "withMask", isAsked: mask && isWhole, pieces: [{ fragments: [wgsl.mask] }] },
    {
      name: "withMaskMod",
      isAsked: maskMod && isWhole,
      pieces: [
        { fragments: [blockMask ? wgsl.maskMod.inBlocks : wgsl.maskMod.everywhere] },
        ...modPieces("maskMod", spec),
      ],
    },
  ];
  return steps.filter(({ isAsked }) => isAsked);
}

/** A function of the product of a query and a key that takes steps, one after the other, and returns `result` of them. */
function throughSteps(name: string, steps: readonly Step[], result: string): string {
  return [
    `fn ${name}(product: f32, row: u32, context: Context, column: u32) -> f32 {`,
    "var s = params.scale * product;",
    ...steps.map(({ name }) => `s = ${name}(s, row, context, column);`),
    `return ${result};\n}`,
  ].join("\n");
}

/**
 * `slopeOf`: the derivative of the score by the product of a query and a key that it sees, but for what `scoreMod` does to
 * it; `modSlopeOf`: the derivative of that.
 */
export function slopePieces(spec: ScoredSpec): WgslPiece[] {
  const { softcap, scoreMod } = spec;
  const slope = softcap ? "params.scale * softcapSlope(params.scale * product)" : "params.scale";
  const slopeOf = `fn slopeOf(product: f32) -> f32 {\nreturn ${slope};\n}`;
  const steps = stepsTo("scores", spec);
  const before = steps.slice(0, steps.findIndex(({ name }) => name === SCORE_MOD));
  const modSlopeOf = scoreMod
    ? throughSteps("modSlopeOf", before, `${MOD_GRAD}(s, placeOf(row, context, column))`)
    : "fn modSlopeOf(product: f32, row: u32, context: Context, column: u32) -> f32 {\nreturn 1.0;\n}";
  return [{ fragments: [slopeOf, modSlopeOf, ...(softcap ? [wgsl.softcapSlope] : [])] }];
}

/** `withSink` and `storeLse`: what becomes of the softmax state of a whole row. */
export function rowEndPieces(spec: ScoredSpec): WgslPiece[] {
  const { sinkLogits, outputs } = spec;
  return [
    ...(sinkLogits
      ? [{ fragments: [wgsl.sink.logits] }, perHeadPiece(spec)]
      : [{ fragments: [wgsl.sink.none] }]),
    { fragments: [outputs.includes("lse") ? wgsl.lse.stored : wgsl.lse.none] },
  ];
}

/** Declares the numbers of each query head. */
export function perHeadPiece({ numHeads }: ScoredSpec): WgslPiece {
  return { constants: { NUM_HEADS: numHeads }, fragments: [wgsl.perHead] };
}

/** Whether a kernel may read numbers of each query head. */
export function hasPerHead({ alibiSlopes, sinkLogits }: FilledScoreSpec): boolean {
  return alibiSlopes !== undefined || sinkLogits !== undefined;
}

/** Beyond every position of a query, which is itself beyond every key; their sum is within i32. */
const UNBOUNDED = 2 ** 30;

/** Values of `Params` by which scores are computed. */
export function scoreParams(spec: ScoredSpec) {
  const { seqLen, causal, alignment, scale, softcap = 0 } = spec;
  const { window = Infinity, windowRight = Infinity } = spec;
  const named = { "bottom-right": -seqLen, "top-left": 0 };
  const firstQuery = typeof alignment === "number" ? alignment : named[alignment];
  return {
    firstQuery,
    isFromEnd: Number(alignment === "bottom-right"),
    windowLeft: Math.min(window - 1, UNBOUNDED),
    windowRight: causal ? 0 : Math.min(windowRight, UNBOUNDED),
    scale,
    softcap,
    isMaskFromEnd: Number(spec.maskKeys === "last"),
    bias: broadcastParams(spec.bias),
    mask: broadcastParams(spec.mask),
  };
}

/** The specification of queries that see every key, as for products before the mask. */
export function unmasked<Spec extends FilledScoreSpec>(spec: Spec): Spec {
  return { ...spec, causal: false, window: undefined, windowRight: undefined };
}

/** Whatever is of each query head, as `perHead` lies in memory. */
export function perHeadNumbers(
  { numHeads, alibiSlopes, sinkLogits }: ScoredSpec,
): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(4 * numHeads);
  for (let head = 0; head < numHeads; head++) {
    numbers[4 * head] = alibiSlopes?.[head] ?? 0;
    numbers[4 * head + 1] = sinkLogits?.[head] ?? 0;
  }
  return numbers;
}

function broadcastParams(shape: readonly number[] = [0, 0]) {
  const keys = shape.at(-1)!;
  const [batch, heads, tokens] = leadingAxes(shape);
  const stride = (size: number, elements: number) => size === 1 ? 0 : elements;
  return {
    keys,
    stride: [
      stride(batch, heads * tokens * keys),
      stride(heads, tokens * keys),
      stride(tokens, keys),
    ],
  };
}
