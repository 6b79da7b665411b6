/** Passes over the tokens of one sequence whose keys and values are remote: layer by layer, as each one's attention comes. */
import { sentence } from "../base/check.ts";
import { once } from "../base/once.ts";
import { fillInRope, Rope } from "../cache/rope_kernel.ts";
import type { KvCalibration } from "../cache/kv_calibration.ts";
import { type BoundWork, boundWork, inSequence } from "../gpu/bound_work.ts";
import type { Owned } from "../gpu/owned.ts";
import type { AttentionRows, NormedLayerTensors } from "../layer/attention_projections.ts";
import { downloadTogether } from "../tensor/download.ts";
import { Tensor } from "../tensor/tensor.ts";
import { blockTensors, type Halves } from "./block.ts";
import type { Model } from "./model.ts";
import { Heads } from "./passes.ts";
import type { RemoteKv, RemoteKvSpec } from "./remote_kv.ts";
import { copyLastRow, type RunSteps, type SequencePasses } from "./sequence_passes.ts";

/** The layers over a number of tokens. */
interface RemotePass {
  /** The residual stream [1, tokens, dim]. */
  h: Tensor;
  /** From tokens to the first layer's attention, from there to the next one's, and from the last to `h`. */
  parts: readonly BoundWork[];
  /** What goes to each layer's attention, and comes back. */
  rows: readonly AttentionRows[];
}

/** Work at both ends of a pass. */
interface Ends {
  /** The first part, where it is more than the pass's own. */
  first?: BoundWork;
  /** Encodes what makes logits of the residual stream; absent where none are asked for. */
  last?: (encoder: GPUCommandEncoder) => void;
}

const CREATE = "create Decoder";

/** Tokens in, logits out; between the halves of each layer, queries and new keys and values go to the remote ones. */
export class RemotePasses implements SequencePasses {
  readonly model: Model;
  readonly tokens: Tensor;
  readonly logits: Tensor;
  readonly cacheBytes = 0;

  readonly #kv: RemoteKv;
  readonly #owned: Owned;
  /** u32 [1]: tokens before a pass, and after it. */
  readonly #lengths: { before: Tensor; after: Tensor };
  readonly #ropes: readonly (Rope | undefined)[];
  readonly #passes = new Map<number, Promise<RemotePass>>();
  readonly #rows = new Map<string, Promise<AttentionRows>>();
  readonly #heads: Heads;
  #length = 0;
  /** Why nothing can be done until the decoder is cleared. */
  #fault: Error | undefined;
  #cleared: Promise<void> = Promise.resolve();

  private constructor(
    model: Model,
    kv: RemoteKv,
    owned: Owned,
    made: Record<"tokens" | "logits" | "before" | "after", Tensor> & {
      ropes: readonly (Rope | undefined)[];
    },
  ) {
    this.model = model;
    this.#kv = kv;
    this.#owned = owned;
    this.tokens = made.tokens;
    this.logits = made.logits;
    this.#lengths = made;
    this.#ropes = made.ropes;
    this.#heads = new Heads(model, owned, made.logits);
  }

  /** Makes the tensors at both ends; `owned` keeps them. */
  static async create(
    model: Model,
    owned: Owned,
    { kv, maxSeqLen }: { kv: RemoteKv; maxSeqLen: number },
  ): Promise<RemotePasses> {
    checkRemote(model, kv);
    const { gpu, spec: { vocabSize, headDim, layers } } = model;
    const empty = async (label: string, shape: number[], dtype: "u32" | "f32" = "u32") =>
      owned.keep(await Tensor.empty(gpu, shape, { dtype, label }));
    const ropes = await Promise.all(
      layers.map(({ rope }) =>
        rope &&
        Rope.create(gpu, owned, fillInRope(CREATE, rope, headDim), { headDim, dtype: "f32" })
      ),
    );
    return new RemotePasses(model, kv, owned, {
      tokens: await empty("tokens", [maxSeqLen]),
      logits: await empty("logits", [1, vocabSize], "f32"),
      before: await empty("tokens before a pass", [1]),
      after: await empty("tokens after a pass", [1]),
      ropes,
    });
  }

  get lengths(): GPUBuffer {
    return this.#lengths.before.buffer;
  }

  get length(): number {
    return this.#length;
  }

  async feed(action: string, chunks: readonly (readonly number[])[]): Promise<void> {
    const { h: lastRow } = await this.#pass(1);
    const head = await this.#heads.of(lastRow);
    for (const [i, chunk] of chunks.entries()) {
      const { h } = await this.#pass(chunk.length);
      this.#write(this.tokens, chunk);
      await this.#run(action, chunk.length, {
        last: i < chunks.length - 1 ? undefined : (encoder) => {
          copyLastRow(encoder, h, lastRow);
          head.work.encode(encoder);
        },
      });
    }
  }

  async forward(action: string, chunk: readonly number[]): Promise<Tensor> {
    const { h } = await this.#pass(chunk.length);
    const { logits, work } = await this.#heads.of(h);
    this.#write(this.tokens, chunk);
    await this.#run(action, chunk.length, {
      last: (encoder) => {
        work.encode(encoder);
        copyLastRow(encoder, logits, this.logits);
      },
    });
    return logits;
  }

  async bindSteps(choose: BoundWork): Promise<RunSteps> {
    const { h, parts } = await this.#pass(1);
    const { work } = await this.#heads.of(h);
    const first = inSequence([choose, parts[0]]);
    const last = (encoder: GPUCommandEncoder) => work.encode(encoder);
    return async (action, steps) => {
      for (let i = 0; i < steps; i++) await this.#run(action, 1, { first, last });
    };
  }

  async truncate(action: string, length: number): Promise<void> {
    await this.#checkUsable(action);
    await this.#whole(() => this.#kv.truncate(length));
    this.#length = length;
  }

  calibrate(): Promise<KvCalibration[]> {
    const rule = "the caches must be on the decoder's device (leave kv out)";
    return Promise.reject(new TypeError(sentence("calibrate Decoder", rule, { kv: "given" })));
  }

  clear(): void {
    this.#length = 0;
    this.#fault = undefined;
    this.#cleared = this.#kv.clear();
    // Whoever feeds next is told.
    this.#cleared.catch(() => {});
  }

  /** Runs a pass: each layer's queries and new keys and values are read back, and its attention's output is written. */
  async #run(action: string, seqLen: number, { first, last }: Ends): Promise<void> {
    const { model: { gpu } } = this;
    const { parts, rows } = await this.#pass(seqLen);
    await this.#checkUsable(action);
    this.#write(this.#lengths.before, [this.#length]);
    this.#write(this.#lengths.after, [this.#length + seqLen]);
    await this.#whole(async () => {
      for (const [layer, { q, k, v, o }] of rows.entries()) {
        const work = layer === 0 && first || parts[layer];
        // Without logits, nobody reads the output of the last layer.
        const isRead = last !== undefined || layer < rows.length - 1;
        const [keys, values, queries] = await downloadTogether(gpu, isRead ? [k, v, q] : [k, v], {
          ...{ action, before: (encoder: GPUCommandEncoder) => work.encode(encoder) },
        });
        const output = await this.#kv.extend(layer, { k: keys, v: values, q: queries });
        if (!isRead) continue;
        checkOutput(action, output, o.length);
        gpu.device.queue.writeBuffer(o.buffer, 0, output as Float32Array<ArrayBuffer>);
      }
      if (!last) return;
      await gpu.guard(action, () => {
        const encoder = gpu.device.createCommandEncoder();
        parts.at(-1)!.encode(encoder);
        last(encoder);
        gpu.device.queue.submit([encoder.finish()]);
      });
    });
    this.#length += seqLen;
  }

  /** Binds the layers over `seqLen` tokens. */
  #pass(seqLen: number): Promise<RemotePass> {
    return once(this.#passes, seqLen, async () => {
      const { model, tokens } = this;
      const tensors = await blockTensors(model.gpu, this.#owned, model.spec, seqLen);
      const { h } = tensors;
      const rows: AttentionRows[] = [];
      const parts: (readonly BoundWork[])[] = [];
      let before: readonly BoundWork[] = [model.embedding.bind(tokens, h, this.lengths)];
      for (const [layer, block] of model.blocks.entries()) {
        const own = await this.#rowsOf(layer, seqLen);
        const halves = await block.bindHalves(tensors, (bound) => this.#attend(layer, own, bound));
        rows.push(own);
        parts.push([...before, ...halves.before]);
        before = halves.after;
      }
      return { h, rows, parts: [...parts, before].map(inSequence) };
    });
  }

  /** Rows of new tokens, which layers share whose norms are alike. */
  #rowsOf(layer: number, seqLen: number): Promise<AttentionRows> {
    const { projections } = this.model.blocks[layer];
    return once(
      this.#rows,
      `${seqLen} ${projections.norms}`,
      () => projections.emptyRows(this.#owned, [1, seqLen]),
    );
  }

  async #attend(layer: number, rows: AttentionRows, tensors: NormedLayerTensors): Promise<Halves> {
    const { projections } = this.model.blocks[layer];
    const rope = this.#ropes[layer];
    const lengths = this.#lengths.after.buffer;
    const rotated = ({ buffer, shape: [batch, seqLen, numHeads] }: Tensor) =>
      rope
        ? [boundWork([rope.bind(
          { ...{ batch, seqLen, numHeads, buffer }, layout: "BSNH", arrangement: "padded" },
          { lengths },
        )])]
        : [];
    return {
      before: [
        await projections.bindInputs(tensors, rows),
        ...rotated(rows.q),
        ...rotated(rows.k),
      ],
      after: [await projections.bindOutput(rows.o, tensors)],
    };
  }

  #write({ buffer }: Tensor, values: readonly number[]): void {
    this.model.gpu.device.queue.writeBuffer(buffer, 0, new Uint32Array(values));
  }

  /** Does what all layers do, or none: where it fails, nothing else is done until the decoder is cleared. */
  async #whole(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#fault = error as Error;
      throw error;
    }
  }

  async #checkUsable(action: string): Promise<void> {
    await this.#cleared;
    if (!this.#fault) return;
    const rule = "its layers may have different tokens since a call failed (clear it)";
    throw new RangeError(sentence(action, rule, { failed: this.#fault.message }));
  }
}

/** Throws unless remote keys and values are those of the model, and hold all that its layers need. */
function checkRemote({ spec, maxTokens }: Model, kv: RemoteKv): void {
  const { numHeads, numKvHeads, headDim, scale = headDim ** -0.5 } = spec;
  const needed = {
    ...{ layers: spec.layers.length, numHeads, numKvHeads, headDim, valueDim: headDim, scale },
    softcap: undefined,
  };
  const given = { ...kv.spec, scale: kv.spec.scale ?? kv.spec.headDim ** -0.5 };
  for (const [name, value] of Object.entries(needed)) {
    const own = given[name as keyof RemoteKvSpec];
    if (own === value) continue;
    throw new RangeError(
      sentence(CREATE, `${name} of kv must be the model's`, { [name]: own, model: value }),
    );
  }
  if (spec.alibiSlopes) {
    const rule = "remote keys have no ALiBi slopes (leave kv out)";
    throw new RangeError(sentence(CREATE, rule, { alibiSlopes: spec.alibiSlopes.length }));
  }
  const narrow = spec.layers.findIndex(({ window = Infinity }) => window < maxTokens);
  if (narrow >= 0) {
    const { window } = spec.layers[narrow];
    const rule = "remote keys are seen by all queries after them, and a layer has a window";
    throw new RangeError(sentence(CREATE, rule, { layer: narrow, window, maxTokens }));
  }
  if (kv.capacity < maxTokens) {
    const rule = "kv must have room for the longest sequence (lower maxTokens)";
    throw new RangeError(sentence(CREATE, rule, { capacity: kv.capacity, maxTokens }));
  }
  if (kv.length() > 0) {
    throw new RangeError(sentence(CREATE, "kv must be empty (clear it)", { length: kv.length() }));
  }
}

function checkOutput(action: string, output: Float32Array, needed: number): void {
  if (output.length === needed) return;
  throw new RangeError(
    sentence(action, "kv must return an output for each query", { output: output.length, needed }),
  );
}
