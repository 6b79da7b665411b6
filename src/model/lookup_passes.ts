/** Passes over drafts that are looked up in the text, of which the tokens stay that the model itself chooses. */
import { once } from "../base/once.ts";
import { Owned } from "../gpu/owned.ts";
import { Tensor } from "../tensor/tensor.ts";
import { checkChosen } from "./check_chosen.ts";
import { lookUpDraft } from "./lookup_draft.ts";
import { Sampler } from "./sampler.ts";
import type { Sampling } from "./sampling.ts";
import type { SequencePasses } from "./sequence_passes.ts";

/** Tokens of a draft: of more, few would be right. */
const DRAFTED = 7;

/** A sequence's tokens so far. */
interface TokensSoFar {
  /** All of them. */
  text: readonly number[];
  /** Those that were generated with this way of choosing. */
  generated: readonly number[];
}

/** What chooses a token from each row of logits. */
interface RowChoice {
  sampler: Sampler;
  /** u32 [rows]: the position of the token that each row tells. */
  positions: Tensor;
}

/**
 * Verifies drafts (speculative decoding: Leviathan et al. 2023, arXiv 2211.17192). A pass feeds the next token with a draft of
 * those behind it, and chooses a token from each row of logits as decode steps choose it: by its position and by the tokens
 * before. The draft stays as far as it is what was chosen, and the rest is taken back. So the tokens are those of decode steps,
 * those that are drawn by a seed too.
 */
export class LookupPasses {
  readonly #passes: SequencePasses;
  readonly #sampling: Sampling;
  readonly #owned = new Owned();
  readonly #choices = new Map<Tensor, Promise<RowChoice>>();
  /** The token that follows a text, which is not fed yet. */
  #next: { token: number; text: readonly number[] } | undefined;

  constructor(passes: SequencePasses, sampling: Sampling) {
    this.#passes = passes;
    this.#sampling = sampling;
  }

  /**
   * Runs a pass.
   *
   * @param tokens The sequence's tokens so far, whose logits the passes have.
   * @param most Most tokens that there is room for, and that stay: at least one of either.
   * @returns The tokens that stay. They are fed, and the logits are those after the last of them.
   */
  async run(
    action: string,
    { text, generated }: TokensSoFar,
    most: { fed: number; kept: number },
  ): Promise<number[]> {
    const passes = this.#passes;
    const { length, logits: last, model: { spec: { vocabSize } } } = passes;
    const isKnown = this.#next !== undefined && areSame(this.#next.text, text);
    const [next] = isKnown
      ? [this.#next!.token]
      : await this.#choose(action, last, { text, generated: [generated] });
    this.#next = undefined;
    checkChosen(action, [next], { first: length, vocabSize });
    const size = 1 + DRAFTED;
    // All drafts are of one length, as passes are bound and compiled for each.
    const hasRoom = size <= Math.min(most.fed, passes.tokens.length);
    const chunk = [next, ...(hasRoom ? lookUpDraft([...text, next], DRAFTED) : [])];
    const logits = await passes.forward(action, chunk);
    const chosen = await this.#choose(action, logits, {
      text,
      generated: chunk.map((_, i) => [...generated, ...chunk.slice(0, i + 1)]),
    });
    let kept = 1;
    while (kept < Math.min(chunk.length, most.kept) && chunk[kept] === chosen[kept - 1]) kept++;
    if (kept < chunk.length) {
      await passes.truncate(action, length + kept);
      this.#copyRow(logits, kept - 1, last);
    }
    const tokens = chunk.slice(0, kept);
    this.#next = { token: chosen[kept - 1], text: [...text, ...tokens] };
    return tokens;
  }

  destroy(): void {
    this.#owned.destroy();
  }

  /** Chooses a token from each row of logits, each after these generated tokens; the last row's are all that are fed. */
  async #choose(
    action: string,
    logits: Tensor,
    { text, generated }: { text: readonly number[]; generated: readonly (readonly number[])[] },
  ): Promise<number[]> {
    const { model: { gpu }, length } = this.#passes;
    const rows = [...generated.keys()];
    const first = length + 1 - rows.length;
    const { sampler, positions } = await once(
      this.#choices,
      logits,
      () => this.#makeChoice(logits),
    );
    const { device } = gpu;
    device.queue.writeBuffer(positions.buffer, 0, Uint32Array.from(rows, (row) => first + row));
    sampler.setRows(rows);
    for (const row of rows) {
      await sampler.set(row, this.#sampling, { prompt: text, generated: generated[row] });
    }
    const work = await sampler.bind(rows);
    await gpu.guard(action, () => {
      const encoder = device.createCommandEncoder();
      work.encode(encoder);
      device.queue.submit([encoder.finish()]);
    });
    const chosen = await sampler.read();
    return rows.map((row) => chosen.token(row, first + row));
  }

  async #makeChoice(logits: Tensor): Promise<RowChoice> {
    const { gpu } = this.#passes.model;
    const [sequences] = logits.shape;
    const empty = async (label: string) =>
      this.#owned.keep(await Tensor.empty(gpu, [sequences], { dtype: "u32", label }));
    const [tokens, positions] = [await empty("chosen tokens"), await empty("positions")];
    const tensors = { logits, tokens, lengths: positions.buffer };
    const shape = { sequences, kept: 1 };
    return { sampler: await Sampler.create(gpu, this.#owned, tensors, shape), positions };
  }

  #copyRow(from: Tensor, row: number, to: Tensor): void {
    const { device } = this.#passes.model.gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(from.buffer, row * to.bytes, to.buffer, 0, to.bytes);
    device.queue.submit([encoder.finish()]);
  }
}

function areSame(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((token, i) => token === b[i]);
}
