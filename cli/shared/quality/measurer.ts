/** Measures what models with a change predict of a text, on one GPU. */
import type { Gpu, KvCalibration } from "../../../mod.ts";
import type { LayerMergeReport } from "../../../src/checkpoints/mod.ts";
import { once } from "../../../src/base/once.ts";
import { Decoder } from "../../../src/model/decoder.ts";
import { drawText, drawWith } from "../../../src/model/draw_text.ts";
import { calibrate } from "../calibrate.ts";
import { drawTexts, textBounds } from "../draw_texts.ts";
import { withFewerKvHeads } from "../fewer_kv_heads.ts";
import type { Model } from "../model_files.ts";
import type { Out } from "../run.ts";
import { type Score, scoreText } from "../score.ts";
import { needOf, type Variant } from "./variant.ts";

const MESSAGES = { action: "measure quality", cure: "give --text" };

/** The device that something was measured on. */
export interface Adapter {
  description: string;
  isSoftware: boolean;
}

/** The texts that a model draws to be changed by. */
export interface DrawSettings {
  seed: number;
  /** Tokens to merge heads by. */
  calibration: number;
}

/** What a model with a change predicts, and its bytes. */
export interface MeasuredVariant {
  score: Score;
  /** Bytes of the KV cache for the text. */
  cacheBytes: number;
  /** The shares that merging kept of each layer. */
  merge?: readonly LayerMergeReport[];
}

/** Whether a token begins the texts that a model draws. */
export function canDraw(tokenizer: Model["tokenizer"]): boolean {
  return tokenizer.encode("").length > 0 || tokenizer.endOfText.length > 0;
}

/** Throws a `RangeError` unless a token begins the texts that a model draws. */
export function checkDraws(tokenizer: Parameters<typeof textBounds>[0]): void {
  textBounds(tokenizer, MESSAGES);
}

/** Measures variants of a model. What they are changed by is drawn once. */
export class Measurer {
  readonly #gpu: Gpu;
  readonly #model: Model;
  readonly #settings: DrawSettings;
  readonly #out: Pick<Out, "progress">;
  readonly #texts = new Map<"merged", Promise<readonly (readonly number[])[]>>();
  readonly #calibrations = new Map<"calibrated", Promise<readonly KvCalibration[]>>();

  constructor(gpu: Gpu, model: Model, settings: DrawSettings, out: Pick<Out, "progress">) {
    this.#gpu = gpu;
    this.#model = model;
    this.#settings = settings;
    this.#out = out;
  }

  /** Where it measures. */
  get adapter(): Adapter {
    const { description, isSoftware } = this.#gpu.description;
    return { description, isSoftware };
  }

  /** Whether its adapter has the types of a variant. */
  canMeasure(variant: Variant): boolean {
    const need = needOf(variant);
    return need === undefined || this.#gpu.features[need];
  }

  /**
   * Draws texts of that many tokens in all.
   *
   * @throws {RangeError} If no token begins the model's texts.
   */
  async drawText(tokens: number): Promise<number[]> {
    const { checkpoint: { spec, weights }, tokenizer } = this.#model;
    const bounds = textBounds(tokenizer, MESSAGES);
    const decoder = await Decoder.create(this.#gpu, spec, weights, { maxTokens: tokens });
    try {
      const { seed } = this.#settings;
      return await drawText(drawWith(decoder), { tokens, ...bounds, seed });
    } finally {
      decoder.destroy();
    }
  }

  /** Draws what a variant is changed by, unless it is there. */
  async prepare({ pool, transform }: Variant): Promise<void> {
    if (pool === "merged") await this.#mergeTexts();
    if (transform === "calibrated") await this.#calibration();
  }

  /** Scores a text by a variant. */
  async measure(variant: Variant, tokens: readonly number[]): Promise<MeasuredVariant> {
    const { kvDtype, transform, window, sinks, numKvHeads, pool } = variant;
    const { checkpoint } = this.#model;
    const calibration = pool === "merged" ? await this.#mergeTexts() : [];
    const fewer = pool && { kvHeads: numKvHeads, method: pool, calibration };
    const { spec, weights, report } = fewer
      ? await withFewerKvHeads(this.#gpu, checkpoint, fewer, this.#out)
      : { ...checkpoint, report: undefined };
    const decoder = await Decoder.create(this.#gpu, spec, weights, {
      ...{ maxTokens: tokens.length, kvDtype, window, sinks },
      ...(transform === "rotated" && { kvRotation: "hadamard" }),
      ...(transform === "calibrated" && { kvCalibration: await this.#calibration() }),
    });
    try {
      const score = await scoreText(decoder, tokens, spec.vocabSize);
      return { score, cacheBytes: decoder.cacheBytes, ...(report && { merge: report }) };
    } finally {
      decoder.destroy();
    }
  }

  #mergeTexts(): Promise<readonly (readonly number[])[]> {
    return once(this.#texts, "merged", () => this.#draw(this.#settings.calibration));
  }

  /** Offsets and scales of caches, by as many tokens of texts that the model draws as its context holds. */
  #calibration(): Promise<readonly KvCalibration[]> {
    return once(this.#calibrations, "calibrated", async () => {
      const { checkpoint } = this.#model;
      const texts = await this.#draw(checkpoint.spec.contextLen);
      return await calibrate(this.#gpu, checkpoint, texts.flat());
    });
  }

  #draw(tokens: number): Promise<number[][]> {
    const { seed } = this.#settings;
    return drawTexts(this.#gpu, this.#model, { tokens, seed, ...MESSAGES }, this.#out);
  }
}
